"""Twins: the proof is held to the filter itself, over random log ratios, to the last bit."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo.filter import filter_log_ratios
from iskpo.innovations import InnovationSummary
from sweep.arms.arm import Arm
from sweep.arms.twins import LARGEST, LONGEST, RATIO, SAME_PARAMETERS, THRESHOLD_NEVER_REACHED, family, why_same

_INF = math.inf


def _arm(kappa: float, **others) -> Arm:
    return Arm(name=f"k{kappa}", **{"q": 1e-4, "v": 1e-2, "kappa": kappa, **others})


def _step(ratio: float, largest: float = 0.1, longest: float = 80) -> dict[str, float]:
    return {RATIO: ratio, LARGEST: largest, LONGEST: longest}


@given(
    seed=st.integers(0, 2**31),
    v=st.sampled_from([1e-6, 1e-2, 1.0]),
    q=st.sampled_from([1e-8, 1e-4, 1e-1]),
    rho0=st.sampled_from([0.0, 0.3]),
    scale=st.sampled_from([1e-3, 0.1, 3.0]),
    part=st.floats(0.5, 1.5),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_what_is_proved_is_what_the_filter_does(seed, v, q, rho0, scale, part):
    draws = torch.Generator().manual_seed(seed)
    z = (scale * torch.randn(6, 40, generator=draws)).float()
    mask = torch.rand(6, 40, generator=draws) < 0.9
    filter_ = {"q": q, "v": v, "rho0": rho0}
    plain = filter_log_ratios(z, mask, kappa=_INF, **filter_)
    metrics = InnovationSummary.from_filter(plain, mask).as_metrics() | {LONGEST: float(mask.sum(1).max())}
    kappa = part * metrics[RATIO]
    clipping = filter_log_ratios(z, mask, kappa=kappa, **filter_)
    why = why_same(_arm(kappa, **filter_), _arm(_INF, **filter_), steps=[metrics], planned=1)
    if why:
        assert torch.equal(plain.rho, clipping.rho)
        assert not clipping.clipped.any()
    # The proof gives away a rounding error, and no more.
    elif clipping.clipped.sum() == 0:
        assert part < 1 + 1e-3 or rho0 + scale > 1e3 * math.sqrt(v)
    if part < 1 - 1e-5:
        assert why == ""
        assert clipping.clipped.any()


def test_both_thresholds_count_and_every_step():
    steps = [_step(0.5), _step(2.0)]
    assert why_same(_arm(3.0), _arm(_INF), steps=steps, planned=2) == THRESHOLD_NEVER_REACHED
    assert why_same(_arm(_INF), _arm(3.0), steps=steps, planned=2) == THRESHOLD_NEVER_REACHED
    assert why_same(_arm(1.0), _arm(_INF), steps=steps, planned=2) == ""
    # The one that was trained clipped, so that no other threshold is it.
    assert why_same(_arm(_INF), _arm(1.0), steps=steps, planned=2) == ""
    assert why_same(_arm(2.0), _arm(_INF), steps=steps, planned=2) == ""


@pytest.mark.parametrize("steps", [[_step(0.5)], [_step(0.5), {RATIO: 0.5}], [_step(0.5), _step(math.nan)], []])
def test_what_was_not_recorded_proves_nothing(steps):
    assert why_same(_arm(3.0), _arm(_INF), steps=steps, planned=2) == ""


def test_innovations_so_large_that_rounding_hides_the_threshold_prove_nothing():
    assert why_same(_arm(3.0), _arm(_INF), steps=[_step(0.5, largest=1e3, longest=1e4)], planned=1) == ""


def test_arms_with_the_same_parameters_are_the_same_whatever_was_recorded():
    assert why_same(Arm(name="a", loss="grpo"), Arm(name="b", loss="grpo"), steps=[], planned=2) == SAME_PARAMETERS
    assert why_same(_arm(3.0), Arm(name="x", q=1e-4, v=1e-2, kappa=3.0), steps=[], planned=2) == SAME_PARAMETERS


@pytest.mark.parametrize(
    "other",
    [
        {"q": 1e-5},
        {"v": 1e-3},
        {"p0": 0.1},
        {"gradient": "through"},
        {"settings": {"lr": 1e-3}},
        {"advantage": "krpo"},
        {"estimator": "huber"},
    ],
)
def test_arms_that_differ_in_anything_else_are_no_twins(other):
    assert family(_arm(3.0)) == family(_arm(_INF))
    assert why_same(_arm(3.0, **other), _arm(5.0), steps=[_step(0.1)], planned=1) == ""


def test_an_estimator_in_which_kappa_is_more_than_a_threshold_has_no_twins():
    assert why_same(_arm(3.0, estimator="wolf"), _arm(5.0, estimator="wolf"), steps=[_step(0.1)], planned=1) == ""
    assert why_same(_arm(3.0, estimator="huber"), _arm(5.0, estimator="huber"), steps=[_step(0.1)], planned=1)
