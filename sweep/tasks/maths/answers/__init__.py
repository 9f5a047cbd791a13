"""Answers to mathematics problems, read and compared: from text to one spelling, to a tree, to a verdict and its rule.

Imports mpmath alone. Nothing here is bounded in time or memory: see `sweep.tasks.maths.grading_process`.
"""
