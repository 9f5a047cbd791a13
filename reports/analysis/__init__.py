"""A study's tables: arms, comparisons, what was registered, tension, tails of the innovations.

Imports `reports.statistics` and `reports.data`.
"""
