"""What a study will be able to tell, before it is run: from its seeds, problems, arms and registered comparisons.

How much seeds, problems and answers vary is assumed, since nothing has been measured: an arm's accuracy varies by 2
points between seeds (1.5 to 3 are usual), the problems are those of `benchmarks/simulated_studies.py`.
"""

from dataclasses import asdict, dataclass
from typing import Any

from reports.statistics.crossed import Components
from reports.statistics.power import PlannedPrecision, planned_precision
from sweep.profiles.profile import Profile
from sweep.store.plan_file import adaptive_space
from sweep.study.study import Study

# Standard deviations of an arm's accuracy between seeds, and of its share of right answers on a problem beyond what is
# the problem's own; mean p (1 - p) of the problems.
_SEEDS, _PROBLEMS, _ANSWERS = 0.02, 0.045, 0.13
# A difference that is worth finding, for the number of seeds that would do; and the most seeds that are considered.
_WANTED, _MOST_SEEDS = 0.05, 64


@dataclass(frozen=True)
class PowerEstimate:
    """Precision of one comparison of a study, in shares of accuracy.

    Attributes:
        problems: Problems of an evaluation.
        arms: Arms.
        seeds: Training seeds; with one it is the precision for the trained models, and says nothing of their settings.
        comparisons: Comparisons that are corrected for: those that are registered, or else all arms with one.
        registered: Whether they are registered.
        seed_variance: Which of the two results is the study's: ``separate`` or ``pooled``.
        assumed_seed_sd: Standard deviation of an arm's accuracy between seeds that is assumed.
        separate: Each comparison knows of its own two arms alone how much seeds differ.
        pooled: Over all arms; None where there is nothing to pool.
        wanted: A difference that is worth finding.
        seeds_wanted: Fewest seeds that find it, separately, with 80 % power after correction; None: more than 63.
    """

    problems: int
    arms: int
    seeds: int
    comparisons: int
    registered: bool
    seed_variance: str
    assumed_seed_sd: float
    separate: PlannedPrecision
    pooled: PlannedPrecision | None
    wanted: float
    seeds_wanted: int | None

    def as_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def __str__(self) -> str:
        """Sentences for people."""
        what = f"{self.comparisons} {'registered ' if self.registered else ''}"
        over = f"{what}comparison{'' if self.comparisons == 1 else 's'}"
        begin = (
            f"Power, with {self.problems} problems, {over}, and an accuracy that varies by "
            f"{_points(self.assumed_seed_sd)} points between seeds (assumed):"
        )
        if self.pooled is None:
            return (
                f"{begin} one seed shows by how much trained models differ (±{_points(self.separate.half_width)} "
                "points), and never that their settings do."
            )
        chosen = self.seed_variance == "pooled"
        first, second = (self.pooled, self.separate) if chosen else (self.separate, self.pooled)
        other = "from its two arms alone" if chosen else f"with the seed variance pooled over {self.arms} arms"
        text = (
            f"{begin} intervals of ±{_points(first.half_width)} points, and differences of {_points(first.detectable)} "
            "points found with 80 % power after correction"
        )
        if self.arms > 2:
            text += f"; {other} ±{_points(second.half_width)} and {_points(second.detectable)}"
            text += "" if chosen else " (registered: {seed_variance: pooled})"
        if self.seeds == 2 and not chosen:
            text += ". Two seeds cannot show a difference by themselves"
            if self.seeds_wanted is not None:
                text += f": {self.seeds_wanted} would find one of {_points(self.wanted)} points"
        return f"{text}."


def estimate_power(*, study: Study, profile: Profile) -> PowerEstimate | None:
    """Estimate; None where nothing is compared.

    Args:
        study: The study.
        profile: Its profile; its validation batch is all of the problems.
    """
    arms = adaptive_space(study).trials if study.space.is_adaptive else len(study.arms)
    if study.trial.is_replay or arms < 2:
        return None
    registered = study.registered
    listed = len(registered.comparisons) if registered else 0
    comparisons, seeds = listed or arms - 1, len(study.seeds)
    problems = int(profile.verl["data.val_batch_size"])
    answers = 2 * (_PROBLEMS**2 + _ANSWERS / study.eval.samples)
    components = Components(seed=2 * _SEEDS**2, problem=2 * _PROBLEMS**2, residual=answers)

    def precision(count: int, few: float) -> PlannedPrecision:
        return planned_precision(
            components=components, seeds=count, problems=problems, comparisons=comparisons, few=few
        )

    enough = (count for count in range(2, _MOST_SEEDS) if precision(count, count - 1.0).detectable <= _WANTED)
    return PowerEstimate(
        problems=problems,
        arms=arms,
        seeds=seeds,
        comparisons=comparisons,
        registered=listed > 0,
        seed_variance=registered.seed_variance if registered else "separate",
        assumed_seed_sd=_SEEDS,
        separate=precision(seeds, seeds - 1.0),
        pooled=precision(seeds, (arms - 1.0) * (seeds - 1.0)) if seeds > 1 else None,
        wanted=_WANTED,
        seeds_wanted=next(enough, None),
    )


def _points(share: float) -> str:
    if share >= 1.0:
        return "more than 100"
    return f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"
