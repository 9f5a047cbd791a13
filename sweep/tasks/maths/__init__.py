"""Competition mathematics: DAPO-Math-17k to train on, MATH-500, AIME 2024 and AIME 2025 to evaluate on.

Imports `sweep.tasks.arithmetic`, for its small model, and `sweep.input`.
"""
