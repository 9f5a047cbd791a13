"""Sentences, computed from tables.

Imports `reports.analysis` and what is below it.
"""
