"""A study's tables: arms, comparisons, tension, breakdown.

Imports `reports.statistics` and `reports.data`.
"""
