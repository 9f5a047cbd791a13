"""Arithmetic in words, for a small pretrained language model: times tables, and numerals to be written in digits.

Imports `sweep.tasks.arithmetic`, for what a prepared task is, `sweep.tasks.pretrained` and `sweep.input`.
"""
