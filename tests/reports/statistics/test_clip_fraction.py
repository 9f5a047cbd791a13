"""The interval of a clip fraction covers what its sequences are drawn from, and tokens alone would not."""

import math

import numpy as np
import pytest
import torch

from benchmarks.simulated_clipping import Clipping, simulated_steps
from iskpo import InnovationSummary, filter_log_ratios
from reports.statistics.clip_fraction import clip_fraction_interval


def test_several_steps_are_weighted_by_their_tokens() -> None:
    low, high = clip_fraction_interval(fractions=[0.01, 0.03], tokens=[3000, 1000], errors=[0.002, 0.004])
    p, error = 0.015, math.hypot(0.75 * 0.002, 0.25 * 0.004)
    n, z = p * (1 - p) / error**2, 1.959964
    # Wilson's ends solve (p - x)^2 = z^2 x (1 - x) / n.
    for end in (low, high):
        assert (p - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / n, rel=1e-5)
    assert low < p < high


def test_where_it_is_not_known_there_is_none() -> None:
    for fractions, errors in (([0.0, 0.0], [math.nan, math.nan]), ([0.01, 0.01], [0.001, math.nan]), ([], [])):
        found = clip_fraction_interval(fractions=fractions, tokens=[1000.0] * len(fractions), errors=errors)
        assert np.isnan(found).all()
    # A step in which nothing was clipped has no standard error, and needs none.
    assert clip_fraction_interval(fractions=[0.0, 0.01], tokens=[1000, 1000], errors=[math.nan, 0.001])[0] > 0


def test_it_follows_from_what_the_loss_records() -> None:
    """Two steps by the filter itself, against the sum over sequences by hand."""
    random, parts, rows = np.random.default_rng(0), [], []
    for _ in range(2):
        scale = np.exp(random.normal(size=(40, 1)))
        z = torch.from_numpy(0.05 * scale * random.standard_t(3, (40, 50)))
        mask = torch.from_numpy(np.arange(50) < random.integers(10, 51, (40, 1)))
        result = filter_log_ratios(z, mask, q=1e-6, v=1e-2, kappa=1.0)
        parts.append(InnovationSummary.from_filter(result, mask).as_metrics())
        rows.append(((result.clipped & mask).sum(1).double(), mask.sum(1).double()))
    names = ("kalman/clip_fraction", "kalman/tokens", "kalman/clip_fraction_error")
    fractions, tokens, errors = ([part[name] for part in parts] for name in names)
    low, high = clip_fraction_interval(fractions=fractions, tokens=tokens, errors=errors)
    total = sum(float(n.sum()) for _, n in rows)
    p = sum(float(c.sum()) for c, _ in rows) / total
    squares = sum(float(((c - c.sum() / n.sum() * n) ** 2).sum()) * 40 / 39 for c, n in rows)
    n, z = p * (1 - p) / (squares / total**2), 1.959964
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    assert (low + high) / 2 == pytest.approx(middle, rel=1e-6)
    # Sequences differ in scale, so tokens are far from independent.
    assert n < 0.5 * total


def test_it_covers_and_an_interval_over_tokens_does_not() -> None:
    clipping = Clipping(fraction=0.01, spread=1.0)
    random, covered, naive = np.random.default_rng(4), [], []
    for _ in range(400):
        fractions, tokens, errors = simulated_steps(random=random, clipping=clipping, steps=8, sequences=64)
        low, high = clip_fraction_interval(fractions=fractions, tokens=tokens, errors=errors)
        covered.append(low <= clipping.fraction <= high)
        alone = np.sqrt(fractions * (1 - fractions) / tokens)
        low, high = clip_fraction_interval(fractions=fractions, tokens=tokens, errors=alone)
        naive.append(low <= clipping.fraction <= high)
    assert 0.915 < np.mean(covered) < 0.985
    assert np.mean(naive) < 0.9
