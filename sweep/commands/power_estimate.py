"""What a study will be able to tell, before it is run: from its seeds, problems, arms and registered comparisons.

How much seeds, problems and answers vary is assumed, since nothing has been measured: an arm's accuracy varies by 2
points between seeds (1.5 to 3 are usual), the problems are those of `benchmarks/simulated_studies.py`.
"""

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


def power_in_words(study: Study, profile: Profile) -> str:
    """Width of intervals and differences that would be found, in sentences; "" where nothing is compared.

    Args:
        study: The study.
        profile: Its profile; its validation batch is all of the problems.
    """
    arms = adaptive_space(study).trials if study.space.is_adaptive else len(study.arms)
    if study.trial.is_replay or arms < 2:
        return ""
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

    over = f"{comparisons} {'registered ' if listed else ''}comparison{'' if comparisons == 1 else 's'}"
    begin = f"Power, with {problems} problems, {over}, and an accuracy that varies by 2 points between seeds (assumed):"
    separate = precision(seeds, seeds - 1.0)
    if seeds == 1:
        return (
            f"{begin} one seed shows by how much trained models differ (±{_points(separate.half_width)} points), and "
            "never that their settings do."
        )
    pooled = precision(seeds, (arms - 1.0) * (seeds - 1.0))
    chosen = registered is not None and registered.seed_variance == "pooled"
    first, second = (pooled, separate) if chosen else (separate, pooled)
    other = "from its two arms alone" if chosen else f"with the seed variance pooled over {arms} arms"
    text = (
        f"{begin} intervals of ±{_points(first.half_width)} points, and differences of {_points(first.detectable)} "
        "points found with 80 % power after correction"
    )
    if arms > 2:
        text += f"; {other} ±{_points(second.half_width)} and {_points(second.detectable)}"
        text += "" if chosen else " (registered: {seed_variance: pooled})"
    if seeds == 2 and not chosen:
        enough = next((n for n in range(3, _MOST_SEEDS) if precision(n, n - 1.0).detectable <= _WANTED), None)
        text += ". Two seeds cannot show a difference by themselves"
        text += f": {enough} would find one of {_points(_WANTED)} points" if enough else ""
    return f"{text}."


def _points(share: float) -> str:
    if share >= 1.0:
        return "more than 100"
    return f"{100 * share:.2g}" if share < 0.1 else f"{100 * share:.0f}"
