r"""Hierarchical Bayesian models for few, hard problems, which `calibration.py` holds against the report's interval.

Counts c of n = k S samples a problem, with the accuracy :math:`\theta` or :math:`E[\pi]`:

- logit-normal: :math:`c_g \sim Bin(n, \pi_g)`, :math:`logit\,\pi_g \sim N(\mu, \tau^2)`, :math:`\mu \sim N(0, 3^2)`,
  :math:`\tau \sim |N(0, 2^2)|`
- Beta-binomial, as `bayes_evals` (Bowyer et al. 2025, arXiv 2503.01747): :math:`\pi_g \sim Beta(d \theta, d (1 -
  \theta))`, :math:`\theta \sim U(0, 1)`, :math:`d \sim Gamma(1, 1)`

on a grid of both parameters, with the seeds' part of the variance added as Student's t.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import special

from benchmarks.calibration_methods import Floats, Row, per_cent
from benchmarks.simulated_studies import Population, draw_answers
from reports.statistics.mean_share import mean_share

_SAMPLES, _PROBLEMS, _DRAWS = 16, 30, 4000
# How seeds move what problems are drawn.
_MOVED = Population(seed=0.1)
# Logits of so many problems drawn from a kind; each has an accuracy of about 5 %.
KINDS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "logit-normal, SD 2": lambda random, size: random.normal(-4.4, 2.0, size),
    "Beta(0.1, 1.9)": lambda random, size: special.logit(random.beta(0.1, 1.9, size)),
    "alike": lambda _, size: np.full(size, special.logit(0.05)),
    "one in ten at 50 %, others at 0": lambda random, size: np.where(random.random(size) < 0.1, 0.0, -np.inf),
}


def few_problems(*, random: np.random.Generator, repeats: int, kind: str, seeds: int) -> list[Row]:
    """Coverage and width of the report's interval and of both models, 30 problems of 16 samples."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    spread = math.hypot(_MOVED.interaction, _MOVED.seed, _MOVED.seed_problem)
    many = KINDS[kind](random, 200_000)
    truth = float((special.expit(many[:, None] + spread * nodes) @ weights / weights.sum()).mean())
    found: dict[str, list[tuple[float, float]]] = {"report": [], "logit-normal": [], "Beta-binomial": []}
    for _ in range(repeats):
        logits = KINDS[kind](random, _PROBLEMS) + _MOVED.interaction * random.standard_normal(_PROBLEMS)
        right = draw_answers(
            random=random, population=_MOVED, logits=logits[None, None], seeds=seeds, samples=_SAMPLES
        )[0]
        estimate = mean_share(values=right / _SAMPLES)
        found["report"].append((estimate.low, estimate.high))
        moves = np.zeros(_DRAWS)
        if seeds > 1 and estimate.components.seed > 0:
            moves = math.sqrt(estimate.components.seed / seeds) * random.standard_t(seeds - 1, size=_DRAWS)
        histogram = np.bincount(right.sum(axis=0), minlength=seeds * _SAMPLES + 1)
        for name, model in (("logit-normal", _logit_normal), ("Beta-binomial", _beta_binomial)):
            likelihood, prior, accuracy = model(seeds * _SAMPLES)
            posterior = likelihood @ histogram + prior
            weight = np.cumsum(np.exp(posterior - posterior.max()))
            drawn = np.interp(random.random(_DRAWS) * weight[-1], weight, accuracy) + moves
            low, high = np.quantile(drawn, [0.025, 0.975])
            found[name].append((max(0.0, low), high))
    row: Row = {"problems": kind, "true": f"{100 * truth:.1f} %", "seeds": seeds}
    for name, ends in found.items():
        low, high = np.array(ends).T
        row[f"{name} covers"] = per_cent((low <= truth) & (truth <= high))
        row[f"{name}, width (mean, points)"] = f"{100 * np.mean(high - low):.1f}"
    return [row]


@cache
def _logit_normal(samples: int) -> tuple[Floats, Floats, Floats]:
    """Log-likelihood of each count (cells, n + 1), log prior and accuracy (cells,), cells in order of accuracy."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    weights /= weights.sum()
    mean, spread = (grid.ravel() for grid in np.meshgrid(np.linspace(-12, 4, 110), np.linspace(0.05, 6, 50)))
    logits = mean[:, None] + spread[:, None] * nodes
    right, wrong = special.log_expit(logits), special.log_expit(-logits)
    counts = [np.exp(count * right + (samples - count) * wrong) @ weights for count in range(samples + 1)]
    accuracy = special.expit(logits) @ weights
    order = np.argsort(accuracy)
    prior = -((mean / 3) ** 2 + (spread / 2) ** 2) / 2
    return np.log(np.maximum(np.stack(counts, axis=1), 1e-300))[order], prior[order], accuracy[order]


@cache
def _beta_binomial(samples: int) -> tuple[Floats, Floats, Floats]:
    """The same of the other model; the grid is even in the logit of theta and the logarithm of d."""
    share = special.expit(np.linspace(-10, 4, 400))
    theta, d = (grid.ravel() for grid in np.meshgrid(share, np.exp(np.linspace(-6, 5, 60)), indexing="ij"))
    a, b, count = (d * theta)[:, None], (d * (1 - theta))[:, None], np.arange(samples + 1)
    return (
        special.betaln(count + a, samples - count + b) - special.betaln(a, b),
        np.log(theta * (1 - theta) * d) - d,
        theta,
    )
