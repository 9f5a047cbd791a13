"""Mends of verl 0.9.1, vLLM and what they bring, one file each.

The first lines of each say for which version it is, what is wrong there, and what to check when the version moves.
Imports verl and vLLM, and nothing of ours.
"""
