"""Thresholds that a sequence's own innovations set: against their specification, and what each of them promises."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iskpo import RobustResult, filter_log_ratios, reference_filter, robust_filter
from iskpo.reference.reference_causal import causal_reference_filter, causal_threshold
from iskpo.settings import WARM_UP, CausalEstimator

ESTIMATORS = get_args(CausalEstimator)
FIELDS = ("rho", "innovation", "gain", "sigma", "threshold")
decades = st.floats(-8, 0).map(lambda exponent: 10.0**exponent)
shapes = st.tuples(st.integers(0, 3), st.integers(0, 40))
batches = shapes.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, shape, elements=st.floats(-5, 5, allow_subnormal=False)), hnp.arrays(np.bool_, shape)
    )
)


def _kappa(estimator: str, size: float) -> float:
    """A share for ``quantile``, a multiple for the others."""
    return size / 4 if estimator == "quantile" else size


def _run(z: np.ndarray, mask: np.ndarray, *, loop: bool = False, **arguments) -> RobustResult:
    """Compiled, or by the loop, which is taken where a gradient is asked for."""
    return robust_filter(torch.tensor(z, requires_grad=loop), torch.from_numpy(mask), **arguments)


def _assert_is_reference(result: RobustResult, z: np.ndarray, mask: np.ndarray, **arguments) -> None:
    expected = causal_reference_filter(z, mask, **arguments)
    tolerance = 3e-7 if result.rho.dtype == torch.float32 else 1e-9
    scale = max(1e-300, *(float(np.abs(x).max(initial=0)) for x in (expected.rho, expected.innovation)))
    for name in FIELDS:
        found, wanted = getattr(result, name).detach().double().numpy(), getattr(expected, name)
        assert (np.isfinite(found) == np.isfinite(wanted)).all(), name
        size = scale if name in ("rho", "innovation", "threshold") else np.abs(wanted).max(initial=1e-300)
        both = np.where(np.isfinite(wanted), found - np.where(np.isfinite(wanted), wanted, 0), 0)
        assert np.abs(both).max(initial=0) <= tolerance * size * max(1, arguments["kappa"]), name
    near = np.abs(np.abs(expected.innovation) - expected.threshold) <= 1e-9 * scale
    assert ((result.clipped.numpy() == expected.clipped) | near).all()


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    batch=batches,
    q=decades,
    v=decades,
    size=st.sampled_from([0.3, 1.0, 3.0]),
    estimator=st.sampled_from(ESTIMATORS),
    dtype=st.sampled_from([np.float32, np.float64]),
    loop=st.booleans(),
)
def test_both_computations_are_the_reference_for_any_mask_and_parameters(
    batch, q, v, size, estimator, dtype, loop
) -> None:
    z, mask = batch[0].astype(dtype), batch[1]
    arguments = {"estimator": estimator, "q": q, "v": v, "kappa": _kappa(estimator, size)}
    _assert_is_reference(_run(z, mask, loop=loop, **arguments), z, mask, **arguments)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_long_rows_with_outliers_and_holes_are_the_reference(estimator: str) -> None:
    random = np.random.default_rng(7)
    z = np.where(random.random((3, 300)) < 0.02, 100.0, 0.1) * random.standard_normal((3, 300))
    mask = random.random(z.shape) < np.array([[1.0], [0.9], [0.3]])
    arguments = {"estimator": estimator, "q": 1e-4, "v": 1e-2, "kappa": _kappa(estimator, 3.0)}
    for loop in (False, True):
        _assert_is_reference(_run(z, mask, loop=loop, **arguments), z, mask, **arguments)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_threshold_knows_nothing_of_later_tokens(estimator: str) -> None:
    random = np.random.default_rng(1)
    z, mask = random.standard_normal((1, 60)), np.ones((1, 60), bool)
    changed = z.copy()
    changed[0, 40:] *= 50
    first, second = (
        _run(x, mask, estimator=estimator, q=1e-3, v=1.0, kappa=_kappa(estimator, 2.0)) for x in (z, changed)
    )
    # The 41st token is the first to differ, and its threshold does not.
    assert torch.equal(first.threshold[:, :41], second.threshold[:, :41])
    assert torch.equal(first.rho[:, :40], second.rho[:, :40])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_threshold_scales_with_the_innovations_and_not_with_v(estimator: str) -> None:
    """Q and V times 10^4 leave the gains; a threshold of kappa sigma would be 100 times as high."""
    random = np.random.default_rng(2)
    z, mask = 0.01 * random.standard_normal((4, 200)), np.ones((4, 200), bool)
    kappa = _kappa(estimator, 2.0)
    small, large = (_run(z, mask, estimator=estimator, q=1e-3 * v, v=v, kappa=kappa) for v in (1e2, 1e6))
    # exp(-r^2/V) is 1 to 1e-6 for both.
    np.testing.assert_allclose(small.threshold, large.threshold, rtol=1e-5)
    scaled = _run(3 * z, mask, estimator=estimator, q=1e3, v=1e6, kappa=kappa)
    np.testing.assert_allclose(scaled.threshold, 3 * large.threshold, rtol=1e-5)
    assert torch.equal(scaled.clipped, large.clipped)
    assert large.clipped.any()
    clip = [
        filter_log_ratios(torch.from_numpy(z), torch.from_numpy(mask), q=1e-3 * v, v=v, kappa=2.0) for v in (1e-4, 1e6)
    ]
    assert clip[0].clipped.any()
    assert not clip[1].clipped.any()


def test_a_quantile_clips_about_its_share() -> None:
    random = np.random.default_rng(3)
    z = random.standard_t(3, (64, 800))
    result = _run(z, np.ones(z.shape, bool), estimator="quantile", q=1e-6, v=1.0, kappa=0.95)
    # Of n exchangeable innovations the next exceeds the 95th of 100 with 1 - 95/101 at n = 100, nearly 5 % later on.
    assert result.clipped[:, 100:].float().mean().item() == pytest.approx(0.05, abs=0.004)


def test_the_median_stands_where_the_mean_is_dragged_along() -> None:
    """One in ten innovations a hundred times as large: the usual size is 1 still."""
    random = np.random.default_rng(4)
    z = random.standard_normal((8, 400)) * np.where(random.random((8, 400)) < 0.1, 100, 1)
    mad, ewma = (
        _run(z, np.ones(z.shape, bool), estimator=name, q=1e-9, v=1.0, kappa=3.0).threshold[:, 100:]
        for name in ("mad", "ewma")
    )
    assert mad.mean().item() == pytest.approx(3.0, rel=0.25)
    assert ewma.mean().item() > 3 * mad.mean().item()


def test_the_adaptive_bound_forgets_outliers_that_the_running_mean_remembers() -> None:
    usual = [0.1, -0.1] * 30
    bounds = {name: causal_threshold([*usual, 20.0], estimator=name, kappa=3.0, v=1.0) for name in ("ewma", "adaptive")}
    assert bounds["adaptive"] == pytest.approx(0.3, rel=0.05)
    assert bounds["ewma"] > 1.5


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_nothing_is_clipped_on_the_first_tokens_and_nothing_at_all_where_all_is_alike(estimator: str) -> None:
    z = np.array([[5.0, -3.0, 8.0, 1e3, 0.0, 2.0, -9.0, 1.0]])
    result = _run(z, np.ones(z.shape, bool), estimator=estimator, q=1e-2, v=1.0, kappa=_kappa(estimator, 0.4))
    assert z.shape[1] == WARM_UP
    assert not result.clipped.any()
    kalman = reference_filter(z, np.ones(z.shape, bool), q=1e-2, v=1.0)
    np.testing.assert_allclose(result.rho.numpy(), kalman.rho, rtol=1e-12)
    zeros = np.zeros((1, 40))
    assert not _run(zeros, zeros == 0, estimator=estimator, q=1e-2, v=1.0, kappa=_kappa(estimator, 2.0)).clipped.any()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_gradient_through_the_filter_is_that_of_differences(estimator: str) -> None:
    random = torch.Generator().manual_seed(5)
    z = torch.randn(2, 24, generator=random, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(2, 24, generator=random) < 0.9
    kappa = _kappa(estimator, 2.0)

    def rho(x: torch.Tensor) -> torch.Tensor:
        return robust_filter(x, mask, estimator=estimator, q=0.1, v=1.0, kappa=kappa).rho

    assert torch.autograd.gradcheck(rho, (z,), eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("kappa", [1.0, 3.0, math.inf])
def test_a_quantile_needs_a_share(kappa: float) -> None:
    with pytest.raises(ValueError, match="kappa is the share of innovations that pass"):
        robust_filter(torch.zeros(1, 2), torch.ones(1, 2).bool(), estimator="quantile", q=1.0, v=1.0, kappa=kappa)
