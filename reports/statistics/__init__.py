"""Statistics of accuracies, differences and tails; each file holds one method, with its formula, source and limits.

Imports `reports.data` and knows no study: data come as counts, one row an arm, seed, benchmark and problem. How well
each method keeps its promises is measured in `benchmarks/calibration.md`.
"""

from reports.statistics.accuracies import arm_accuracies
from reports.statistics.arm_odds import arm_odds_ratios
from reports.statistics.compare import ComparisonTable, compare_arms
from reports.statistics.logistic import CannotFitError, logistic_regression
from reports.statistics.power import next_study
from reports.statistics.recovery import Recovery, arm_recovery, recovery_fraction
from reports.statistics.setting_effects import setting_effects
from reports.statistics.surface import Surface, response_surface
from reports.statistics.tail_validation import validate_tail
from reports.statistics.tails import TailModel, fit_tail, histogram_counts
from reports.statistics.verdicts import verdict_counts

__all__ = [
    "CannotFitError",
    "ComparisonTable",
    "Recovery",
    "Surface",
    "TailModel",
    "arm_accuracies",
    "arm_odds_ratios",
    "arm_recovery",
    "compare_arms",
    "fit_tail",
    "histogram_counts",
    "logistic_regression",
    "next_study",
    "recovery_fraction",
    "response_surface",
    "setting_effects",
    "validate_tail",
    "verdict_counts",
]
