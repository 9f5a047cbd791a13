"""Public pretrained models that come inside a Python package, for machines that reach a package index and no model hub.

Imports `sweep.tasks.arithmetic`, for its lock, `sweep.tasks.hub` and `sweep.input`.
"""
