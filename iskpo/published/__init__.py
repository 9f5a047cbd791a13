"""KPO's float32 formula as published, kept to be compared, and where it leaves the exact filter.

Imports closed forms and the reference.
"""
