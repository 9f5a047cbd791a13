"""YAML with the line of every key, errors with file, line and the nearest valid key, and the types of numbers.

Imports nothing of ours.
"""
