"""Noise that follows the old policy's uncertainty: against a plain sum, simulated truth and what must not matter."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.statistics.uncertain_noise import UncertaintyFit, fit_uncertainty


def _simulate(random: np.random.Generator, *, share: float, sequences: int = 60) -> dict[str, list]:
    """Innovations whose variance follows the uncertainty by that share."""
    old = [np.log(random.beta(2, 0.5, int(random.integers(5, 40))).clip(1e-6, 1 - 1e-6)) for _ in range(sequences)]
    mean = np.mean(np.concatenate([np.expm1(x) for x in old]) ** 2)
    variances = [1 - share + share * np.expm1(x) ** 2 / mean for x in old]
    innovations = [np.sqrt(v) * random.standard_normal(len(v)) for v in variances]
    return {"innovations": innovations, "old_log_prob": old, "clusters": [f"p{i // 2}" for i in range(sequences)]}


def _likelihood(data: dict[str, list], share: float) -> float:
    """At the most likely variance, token by token."""
    tokens = [
        (e, -math.expm1(logarithm))
        for own, old in zip(data["innovations"], data["old_log_prob"], strict=True)
        for e, logarithm in zip(own.tolist(), old.tolist(), strict=True)
    ]
    mean = math.fsum(u * u for _, u in tokens) / len(tokens)
    relative = [1 - share + share * u * u / mean for _, u in tokens]
    variance = math.fsum(e * e / r for (e, _), r in zip(tokens, relative, strict=True)) / len(tokens)
    pairs = [(e, variance * r) for (e, _), r in zip(tokens, relative, strict=True)]
    return -0.5 * math.fsum(math.log(2 * math.pi * v) + e * e / v for e, v in pairs)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.0, 0.3, 0.9]))
def test_no_other_share_is_more_likely(seed: int, share: float) -> None:
    data = _simulate(np.random.default_rng(seed), share=share, sequences=10)
    fit = fit_uncertainty(**data, resamples=20)
    tokens = sum(map(len, data["innovations"]))
    best = _likelihood(data, fit.share)
    assert fit.nats_per_token == pytest.approx((best - _likelihood(data, 0.0)) / tokens, abs=1e-9)
    near = (fit.share + move * min(fit.share, 1 - fit.share) for move in (-0.1, -0.01, 0.01, 0.1))
    others = (0.0, 0.01, 0.1, 0.3, 0.6, 0.9, 0.99, 0.9999, *near)
    assert all(best >= _likelihood(data, other) - 1e-6 for other in others)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_the_unit_and_the_order_do_not_matter(seed: int, scale: float) -> None:
    data = _simulate(np.random.default_rng(seed), share=0.5, sequences=40)
    other = {name: values[::-1] for name, values in data.items()}
    other["innovations"] = [-scale * e for e in other["innovations"]]
    first, second = fit_uncertainty(**data, resamples=50), fit_uncertainty(**other, resamples=50)
    assert second.share == pytest.approx(first.share, abs=1e-4)
    assert second.nats_per_token == pytest.approx(first.nats_per_token, abs=1e-9)
    assert (second.low, second.high) == pytest.approx((first.low, first.high), abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(share: float) -> None:
    held = 0
    for seed in range(30):
        fit = fit_uncertainty(**_simulate(np.random.default_rng(seed), share=share), resamples=199)
        held += fit.low - 1e-9 <= share <= fit.high
        assert fit.low <= fit.share + 0.1
        assert fit.share - 0.1 <= fit.high
    assert held >= 25


def test_borders_and_what_cannot_be_fitted() -> None:
    random = np.random.default_rng(0)
    data = _simulate(random, share=1.0)
    assert fit_uncertainty(**data).share > 0.999
    # Tokens that the policy was wholly sure of, in float32, are no division by zero.
    data["old_log_prob"][0][:] = 0.0
    data["innovations"][0][:] = 0.0
    assert isinstance(fit_uncertainty(**data, resamples=20), UncertaintyFit)
    # Sequences without a token change nothing.
    more = {"innovations": [np.empty(0)], "old_log_prob": [np.empty(0)], "clusters": ["p0"]}
    padded = {name: more[name] + values + more[name] for name, values in data.items()}
    assert fit_uncertainty(**padded, resamples=20) == fit_uncertainty(**data, resamples=20)
    few = {name: values[:4] for name, values in data.items()}
    assert math.isnan(fit_uncertainty(**few).low)
    with pytest.raises(ValueError, match="nothing to fit"):
        fit_uncertainty(innovations=[np.zeros(3)], old_log_prob=[np.zeros(3)], clusters=["a"])
