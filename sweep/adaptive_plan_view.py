"""Shows the plan of a study whose arms are chosen while it runs: ranges, and what they imply. Starts nothing."""

import math
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sweep.plan import Arm
from sweep.plan_view import extent_of_trials
from sweep.profiles import Profile, describe_choice
from sweep.search_spaces import AdaptiveSpace, OptunaSpace
from sweep.study import Study


def show_adaptive_plan(*, study: Study, profile: Profile, requested_profile: str) -> None:
    """Print how many arms will be tried, in which ranges, and which gains and thresholds these can have."""
    space = _space(study)
    console = Console(highlight=False, markup=False)
    if not study.trial.is_replay:
        console.print(describe_choice(requested=requested_profile, profile=profile))
    if study.question:
        console.print(f"Question: {study.question}")
    console.print(extent_of_trials(study, arms=space.trials, trials=space.trials * len(study.seeds)))
    console.print(f"Arms are chosen while the study runs, each from the results of those before: {_method(space)}.")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("parameter", no_wrap=True)
    table.add_column("values")
    for name, text in space.ranges().items():
        table.add_row(name, text)
    console.print(table)
    for name, unit, (low, high) in _implied(space.corners(defaults=study.defaults)):
        console.print(f"{name}: {low:.3g} to {high:.3g}{unit}, by the closed forms at the corners of these ranges.")


def adaptive_plan_as_json(*, study: Study, profile: Profile, requested_profile: str) -> dict[str, Any]:
    """The same as JSON-ready values; there is no list of trials."""
    space = _space(study)
    corners = space.corners(defaults=study.defaults)
    return {
        "study": study.name,
        "question": study.question,
        "profile": profile.name,
        "profile_choice": describe_choice(requested=requested_profile, profile=profile),
        "steps": study.steps,
        "eval_samples": study.eval.samples,
        "adaptive": {
            "kind": space.kind,
            "arms": space.trials,
            "seeds": list(study.seeds),
            "trials": space.trials * len(study.seeds),
            "method": _method(space),
            "objectives": list(space.objective) if isinstance(space, OptunaSpace) else [],
            "parameters": space.ranges(),
            "implied": {name.lower().replace(" ", "_"): list(ends) for name, _, ends in _implied(corners)},
        },
    }


def _space(study: Study) -> AdaptiveSpace:
    assert isinstance(study.space, AdaptiveSpace)
    return study.space


def _method(space: AdaptiveSpace) -> str:
    if not isinstance(space, OptunaSpace):
        return space.kind
    return f"Optuna's {space.sampler}, seed {space.sampler_seed}, for {' and '.join(space.objective)}"


def _implied(corners: list[Arm]) -> list[tuple[str, str, tuple[float, float]]]:
    """Smallest and largest steady-state gain and finite threshold; left out where no arm has any."""
    values = {
        ("Gain", ""): [arm.predicted_gain for arm in corners],
        ("Threshold", " in log-ratio units"): [arm.predicted_threshold for arm in corners],
    }
    finite = {key: [value for value in found if math.isfinite(value)] for key, found in values.items()}
    return [(name, unit, (min(found), max(found))) for (name, unit), found in finite.items() if found]
