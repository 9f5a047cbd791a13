"""Mends of verl 0.9.1 and vLLM, one file each, with the version it is for and how it goes away.

Imports verl and vLLM, and nothing of ours.
"""
