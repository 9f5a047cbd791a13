"""Profiles as YAML, their loader, and what a machine must have to run one.

Imports `sweep.tasks` and `sweep.input`.
"""
