"""Arithmetic of an evaluation with several samples a problem; pure, and independent of where samples come from."""
