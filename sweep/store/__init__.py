"""All that touches mlflow.db or a study's folder, and nothing else does; all SQL stands in one module.

Imports `sweep.study` and what is below it.
"""
