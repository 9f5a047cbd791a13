"""Shows the plan of a study whose arms are chosen while it runs: ranges, and what they imply. Starts nothing."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sweep.commands.plan_view import extent_of_trials
from sweep.profiles.profile import Profile, describe_choice
from sweep.store.plan_file import adaptive_space, implied_ranges, method_of
from sweep.study.study import Study


def show_adaptive_plan(*, study: Study, profile: Profile, requested_profile: str) -> None:
    """Print how many arms will be tried, in which ranges, and which gains and thresholds these can have."""
    space = adaptive_space(study)
    console = Console(highlight=False, markup=False)
    if not study.trial.is_replay:
        console.print(describe_choice(requested=requested_profile, profile=profile))
    if study.question:
        console.print(f"Question: {study.question}")
    console.print(extent_of_trials(study, arms=space.trials, trials=space.trials * len(study.seeds)))
    console.print(f"Arms are chosen while the study runs, each from the results of those before: {method_of(space)}.")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("parameter", no_wrap=True)
    table.add_column("values")
    for name, text in space.ranges().items():
        table.add_row(name, text)
    console.print(table)
    for name, unit, (low, high) in implied_ranges(space.corners(defaults=study.defaults)):
        console.print(f"{name}: {low:.3g} to {high:.3g}{unit}, by the closed forms at the corners of these ranges.")
