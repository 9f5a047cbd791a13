"""The specification: slow, plain float64, written to be read. Everything fast is tested against it.

Imports closed forms and settings.
"""
