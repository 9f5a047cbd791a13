"""Recorded log ratios filtered again: traces, their replay under many settings, and the check against the log.

Imports the public files of `iskpo` and its kernels; nothing of verl.
"""
