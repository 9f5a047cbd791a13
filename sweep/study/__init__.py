"""What a study file says: its keys, the checks between them, and the trials it plans.

Imports `sweep.search_spaces` and what is below it.
"""
