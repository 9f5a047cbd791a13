"""What is compared: arms, the losses and objectives they train with, and the paper's own arms.

Imports `sweep.input` and `iskpo`.
"""
