"""Accuracies of one arm that `calibration.py` runs: coverage of avg@k, pass@k and maj@k."""

import math

import numpy as np
from scipy import special
from statsmodels.stats.proportion import proportion_confint

from benchmarks.calibration_methods import Floats, Row, covers, per_cent
from benchmarks.simulated_studies import Population, draw_counts
from reports.statistics.crossed import CrossedEstimate, crossed_mean
from reports.statistics.curves import majority_at_every_k, pass_scores
from reports.statistics.mean_share import mean_share

_SAMPLES = 16
# How wrong samples spread over a problem's wrong answers.
_WRONG = (0.6, 0.3, 0.1)
# Problems from which true scores are computed: their own error is a fiftieth of an interval or less.
_MANY = 400_000


def accuracy(
    *, random: np.random.Generator, repeats: int, population: Population, seeds: int, problems: int
) -> list[Row]:
    """Coverage of one arm's scores, and of its accuracy by other intervals."""
    # Of all that moves a logit, nothing is shared where a single seed answers problems of its own.
    alike = Population(mean=population.mean, difficulty=population.spread, interaction=0.0, seed_problem=0.0)
    truths = {name: float(values.mean()) for name, values in _scores(random, alike, 1, _MANY).items()}
    truths["avg"] = population.accuracy()
    held: dict[str, list[bool]] = {name: [] for name in (*truths, "score", "symmetric", "binomial")}
    for _ in range(repeats):
        scores = _scores(random, population, seeds, problems)
        for name, values in scores.items():
            held[name].append(covers(mean_share(values=values), truths[name]))
        shares, truth = scores["avg"], truths["avg"]
        plain = crossed_mean(blocks=[shares])
        held["symmetric"].append(covers(plain, truth))
        total = round(float(shares.sum()) * _SAMPLES)
        for name, (low, high) in {
            "score": _score_interval(plain),
            "binomial": proportion_confint(total, shares.size * _SAMPLES, method="wilson"),
        }.items():
            held[name].append(low <= truth <= high)
    row: Row = {"seeds": seeds, "problems": problems, "seed SD (logit)": population.seed}
    for name in ("avg", "pass", "maj"):
        row[f"{name}@{_SAMPLES}, true"] = f"{100 * truths[name]:.0f} %"
        row[f"{name}@{_SAMPLES} covered"] = per_cent(held[name])
    return [
        {
            **row,
            "score interval covers avg": per_cent(held["score"]),
            "symmetric t interval": per_cent(held["symmetric"]),
            "binomial interval over samples": per_cent(held["binomial"]),
        }
    ]


def _score_interval(estimate: CrossedEstimate) -> tuple[float, float]:
    r"""An interval for a share that does not leave [0, 1] and leans to the side where there is room.

    Wilson's interval with the effective number of samples :math:`n = \hat p (1 - \hat p) / SE^2` in place of the number
    of samples and the t quantile in place of the normal one (Korn & Graubard 1998; Franco et al. 2019, "Comparative
    Study of Confidence Intervals for Proportions in Complex Sample Surveys"):

    .. math:: \frac{\hat p + t^2/2n \pm t \sqrt{\hat p(1-\hat p)/n + t^2/4n^2}}{1 + t^2/n}

    Both ends are NaN where there is no standard error, or the share is 0 or 1.
    """
    p, error = estimate.value, estimate.standard_error
    if not (0 < p < 1 and error > 0):
        return math.nan, math.nan
    square = float(special.stdtrit(estimate.degrees_of_freedom, 0.975)) ** 2
    over = square * error**2 / (p * (1 - p))
    middle, half = p + over / 2, math.sqrt(square * error**2 + over**2 / 4)
    return (middle - half) / (1 + over), (middle + half) / (1 + over)


def _scores(random: np.random.Generator, population: Population, seeds: int, problems: int) -> dict[str, Floats]:
    """Scores of one arm (seeds, problems) by name."""
    settings = {"population": population, "effects": (0.0,), "seeds": seeds, "problems": problems, "samples": _SAMPLES}
    right = draw_counts(random=random, **settings)[0]
    wrong = random.multinomial(_SAMPLES - right, _WRONG)
    return {
        "avg": right / _SAMPLES,
        "pass": pass_scores(correct=right, samples=np.full_like(right, _SAMPLES))[:, :, -1],
        "maj": _MAJORITY[right, wrong[..., 0], wrong[..., 1]],
    }


def _majority_table() -> Floats:
    """maj@k by the number of right samples and of the first two wrong answers; the third has the rest."""
    table = np.full((_SAMPLES + 1,) * 3, np.nan)
    for right, one, two in np.ndindex(table.shape):
        if (rest := _SAMPLES - right - one - two) >= 0:
            wrong = [votes for votes in (one, two, rest) if votes]
            table[right, one, two] = majority_at_every_k(right=right, wrong=wrong)[-1]
    return table


_MAJORITY = _majority_table()
