"""The report's figures, one a file. Each is drawn on axes that the caller gives, and returns them.

Imports `reports.analysis` and what is below it.
"""

from reports.figures.accuracy_intervals import accuracy_intervals
from reports.figures.accuracy_map import accuracy_map
from reports.figures.save import save_figures
from reports.figures.tension_map import tension_map
from reports.figures.training_curves import training_curve

__all__ = ["accuracy_intervals", "accuracy_map", "save_figures", "tension_map", "training_curve"]
