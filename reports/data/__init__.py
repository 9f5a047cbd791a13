"""One loader of what a study recorded, above `sweep.store`, and how numbers are written.

Imports `sweep`.
"""
