"""Statistics of accuracies, differences and tails; each file holds one method, with its formula, source and limits.

Imports pass@k of `sweep.tasks` and the histogram of `iskpo`, and knows no study: data come as counts, one row an arm,
seed, benchmark and problem. How well each method keeps its promises is measured in `benchmarks/calibration.md`.
"""
