"""Mends of verl 0.9.1, vLLM and what they bring, one file each.

Imports verl and vLLM, and nothing of ours. The first lines of each file say for which version it is, what is wrong
there, and what to check when the version moves.
"""
