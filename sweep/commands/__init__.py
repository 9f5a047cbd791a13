"""The command line: one file a command, its terminal view beside it; `cli` gathers them. All are light to import.

Imports every room of `sweep`, and is the only one that may reach `reports`.
"""
