"""Shows a plan: every trial, or the ranges of arms that are chosen later, with what the closed forms predict.

Starts nothing.
"""

import math

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from sweep.arms.paper import note
from sweep.arms.twins import family
from sweep.profiles.profile import Profile, describe_choice
from sweep.store.plan_file import adaptive_space, implied_ranges, method_of
from sweep.study.plan import TrialPlan, evaluates_untrained
from sweep.study.study import Study

# Wide enough for every table, for output that no terminal's width limits.
_UNLIMITED = 400


def show_plan(*, study: Study, plan: list[TrialPlan], profile: Profile, requested_profile: str) -> None:
    """Print a plan to standard output, fitted to the terminal; without a terminal nothing is wrapped or cut."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=_UNLIMITED)
    _show_extent(
        console, study, profile, requested_profile, arms=len({trial.arm.name for trial in plan}), trials=len(plan)
    )
    table = _table(plan, notes=True)
    narrow = Measurement.get(console, console.options.update(max_width=_UNLIMITED), table).maximum > console.width
    console.print(_table(plan, notes=False) if narrow else table)
    if narrow:
        for text, names in _arms_by_note(plan).items():
            console.print(f"{', '.join(names)} - {text}")
    console.print(
        "Gain and threshold (log-ratio units) are steady-state values of the closed forms. A filter that starts at "
        "P0 = 0 begins with a gain near 0 and takes about 1/gain tokens to get there."
    )


def show_adaptive_plan(*, study: Study, profile: Profile, requested_profile: str) -> None:
    """Print how many arms will be tried, in which ranges, and which gains and thresholds these can have."""
    space = adaptive_space(study)
    console = Console(highlight=False, markup=False)
    _show_extent(console, study, profile, requested_profile, arms=space.trials, trials=space.trials * len(study.seeds))
    console.print(f"Arms are chosen while the study runs, each from the results of those before: {method_of(space)}.")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("parameter", no_wrap=True)
    table.add_column("values")
    for name, text in space.ranges().items():
        table.add_row(name, text)
    console.print(table)
    for name, unit, (low, high) in implied_ranges(space.corners(defaults=study.defaults)):
        console.print(f"{name}: {low:.3g} to {high:.3g}{unit}, by the closed forms at the corners of these ranges.")


def _show_extent(
    console: Console, study: Study, profile: Profile, requested_profile: str, *, arms: int, trials: int
) -> None:
    """Print what both kinds of plan begin with."""
    if not study.trial.is_replay:
        console.print(describe_choice(requested=requested_profile, profile=profile))
    if study.question:
        console.print(f"Question: {study.question}")
    console.print(extent_of_trials(study, arms=arms, trials=trials))


_RIGHT_IF = {
    "equivalent": "",
    "strict": ", right if the notation is the same",
    "exact": ", right if the text is the same",
}
"""What a plan says of `Evaluation.matching`."""


def extent_of_trials(study: Study, *, arms: int, trials: int) -> str:
    """How much a study is, in one sentence."""
    every = (
        f"every {_count(study.eval.every, 'step')} and after the last" if study.eval.every else "after the last step"
    )
    if evaluates_untrained(study):
        every += ", with each seed once before the first"
    order = "" if study.space.is_adaptive else ", in this order"
    exactly = _RIGHT_IF[study.eval.matching]
    limits = "".join(f" {sentence}" for sentence in _limits(study))
    if study.trial.is_replay:
        return (
            f"Study {study.name}: {_count(trials, 'trial')}, each a replay of the log ratios in {study.trial.traces}; "
            f"nothing is trained.{limits}"
        )
    return (
        f"Study {study.name}: {_count(trials, 'trial')} ({_count(arms, 'arm')}, {_count(len(study.seeds), 'seed')}) "
        f"of {_count(study.steps, 'step')}, {study.slots} at a time{order}; "
        f"evaluated {every}, {_count(study.eval.samples, 'sample')} a problem{exactly}.{limits}"
    )


def _limits(study: Study) -> list[str]:
    """What may keep trials from being run, or from being run to their ends."""
    found = []
    if study.early_stopping is not None:
        found.append(
            f"A trial that falls behind in {study.compared_early} is ended early ({study.early_stopping.method}, "
            f"after {_count(study.early_stopping.after, 'step')} at the earliest)."
        )
    if twins := possible_twins(study):
        found.append(
            f"{_count(twins, 'trial')} may be recorded without training: each differs from one before it in kappa "
            "alone, and is that one if nothing reaches its threshold."
        )
    if study.budget is not None:
        limits = {"trials": study.budget.trials, "steps": study.budget.steps, "hours": study.budget.hours}
        text = " or ".join(f"{limit:g} {name}" for name, limit in limits.items() if limit is not None)
        found.append(f"No trial begins once {text} are spent.")
    return found


def possible_twins(study: Study) -> int:
    """Trials that differ from one before them in kappa alone, where such are not trained."""
    if study.twins == "train" or study.trial.is_replay or study.space.is_adaptive:
        return 0
    arms = study.arms
    return len(study.seeds) * (len(arms) - len({family(arm) for arm in arms}))


def _table(plan: list[TrialPlan], *, notes: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("arm", overflow="fold")
    for name in ("seed", "Q", "V", "kappa", "Q/V", "gain %", "threshold"):
        table.add_column(name, justify="right", no_wrap=True)
    if notes:
        table.add_column("note", no_wrap=True)
    for trial in plan:
        arm = trial.arm
        threshold = "none" if math.isinf(arm.predicted_threshold) else _cell(arm.predicted_threshold, ".3g", "none")
        numbers = [
            str(trial.seed),
            *(_cell(value, "g", "-") for value in (arm.q, arm.v, arm.kappa, arm.q / arm.v)),
            _cell(100 * arm.predicted_gain, ".3g", "none"),
            "data" if arm.threshold_depends_on_data else threshold,
        ]
        table.add_row(arm.name, *numbers, *([note(arm)] if notes else []))
    return table


def _cell(value: float, form: str, missing: str) -> str:
    """A number; `missing` where the arm's loss has no filter."""
    return missing if math.isnan(value) else f"{value:{form}}"


def _arms_by_note(plan: list[TrialPlan]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for arm in dict.fromkeys(trial.arm for trial in plan):
        if text := note(arm):
            grouped.setdefault(text, []).append(arm.name)
    return grouped


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
