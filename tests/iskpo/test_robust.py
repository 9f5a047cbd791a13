"""The robust filters, compiled and as a loop, against their specifications; and what tells each from the others."""

import math
import sys
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iskpo import (
    NonFiniteLogRatioError,
    RobustResult,
    filter_log_ratios,
    reference_filter,
    robust_filter,
    robust_reference_filter,
)
from iskpo.settings import GAIN_DEPENDS_ON_DATA, FilterSettings, ModelEstimator

ESTIMATORS = get_args(ModelEstimator)
WITH_THRESHOLD = tuple(name for name in ESTIMATORS if name != "ema")
FIELDS = ("rho", "innovation", "gain", "sigma", "weight")

decades = st.floats(-12, 0).map(lambda exponent: 10.0**exponent)
parameters = st.fixed_dictionaries(
    {
        "q": decades | st.just(0.0),
        "v": decades,
        "kappa": st.sampled_from([0.01, 0.3, 1.0, 3.0, math.inf]),
        "p0": st.sampled_from([0.0, 1e-4, 1.0]),
        "rho0": st.sampled_from([0.0, -0.3]),
    }
)
shapes = st.tuples(st.integers(0, 4), st.integers(0, 40))
batches = shapes.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, shape, elements=st.floats(-5, 5, allow_subnormal=False)), hnp.arrays(np.bool_, shape)
    )
)


def _run(z: np.ndarray, mask: np.ndarray, *, loop: bool = False, **arguments) -> RobustResult:
    """Compiled, or by the loop, which is taken where a gradient is asked for."""
    return robust_filter(torch.tensor(z, requires_grad=loop), torch.from_numpy(mask), **arguments)


def _assert_is_reference(result: RobustResult, z: np.ndarray, mask: np.ndarray, **arguments) -> None:
    expected = robust_reference_filter(z, mask, **arguments)
    single = result.rho.dtype == torch.float32
    scale = max(1e-300, *(float(np.abs(x).max(initial=0)) for x in (expected.rho, expected.innovation)))
    for name in FIELDS:
        found = getattr(result, name).detach().double().numpy()
        # An innovation at rounding error has a weight and a gain that depend on that error.
        size = scale if name in ("rho", "innovation") else np.abs(getattr(expected, name)).max(initial=1e-300)
        assert np.abs(found - getattr(expected, name)).max(initial=0) <= (3e-7 if single else 1e-10) * size, name
    fixed = FilterSettings(**arguments).constant_threshold
    # Zero sigma stands for tokens that are not observed.
    threshold = arguments["kappa"] * np.where(mask, expected.sigma, 1) if fixed is None else fixed
    near = np.abs(np.abs(expected.innovation) - threshold) <= 1e-10 * scale
    assert ((result.clipped.numpy() == expected.clipped) | near).all()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    batch=batches,
    arguments=parameters,
    estimator=st.sampled_from(ESTIMATORS),
    dtype=st.sampled_from([np.float32, np.float64]),
    loop=st.booleans(),
    state_kappa=st.sampled_from([0.01, 0.3, math.inf]),
)
def test_both_computations_are_the_reference_for_any_mask_and_parameters(
    batch, arguments, estimator, dtype, loop, state_kappa
) -> None:
    z, mask = batch[0].astype(dtype), batch[1]
    if estimator == "two_step":
        arguments = {**arguments, "state_kappa": state_kappa}
    if estimator == "ema":
        arguments = {**arguments, "kappa": math.inf}
    result = _run(z, mask, loop=loop, estimator=estimator, **arguments)
    assert result.rho.dtype == torch.from_numpy(z).dtype
    _assert_is_reference(result, z, mask, estimator=estimator, **arguments)


def _signal(name: str, rows: int, tokens: int) -> np.ndarray:
    generator = np.random.default_rng(7)
    match name:
        case "walk":
            return np.cumsum(0.1 * generator.standard_normal((rows, tokens)), axis=1)
        case "square":
            return np.where(np.arange(tokens) // 37 % 2 == 0, 1.0, -1.0) * np.arange(1, rows + 1)[:, None]
        case "bursts":
            return np.where(generator.random((rows, tokens)) < 0.01, 1e3, 1e-3) * generator.standard_normal(
                (rows, tokens)
            )
    raise KeyError(name)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", ["walk", "square", "bursts"])
@pytest.mark.parametrize("kappa", [0.01, 1.0, 3.0])
def test_long_adversarial_rows_are_the_reference(estimator: str, name: str, kappa: float) -> None:
    z = _signal(name, 3, 600)
    mask = np.random.default_rng(8).random(z.shape) < np.array([[1.0], [0.9], [0.3]])
    arguments = {"estimator": estimator, "q": 1e-4, "v": 1e-3, "kappa": math.inf if estimator == "ema" else kappa}
    for loop in (False, True):
        _assert_is_reference(_run(z, mask, loop=loop, **arguments), z, mask, **arguments)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(batch=batches, arguments=parameters, estimator=st.sampled_from(ESTIMATORS))
def test_without_a_threshold_every_estimator_is_the_kalman_filter(batch, arguments, estimator) -> None:
    z, mask = batch
    arguments = {**arguments, "kappa": math.inf}
    kalman = reference_filter(z, mask, **arguments)
    result = _run(z, mask, estimator=estimator, **arguments)
    for name in ("rho", "innovation", "gain", "sigma"):
        np.testing.assert_allclose(getattr(result, name).numpy(), getattr(kalman, name), rtol=1e-9, atol=1e-12)
    assert not result.clipped.any()
    # By a division of two steps that are the same but for rounding, where there are two.
    np.testing.assert_allclose(result.weight.numpy(), mask, rtol=1e-6 if estimator == "two_step" else 0)


@pytest.mark.parametrize("estimator", WITH_THRESHOLD)
def test_the_step_that_one_outlier_makes(estimator: str) -> None:
    """P^- = V = 1 and kappa = 1, so sigma = sqrt(2), and an innovation of 10."""
    found = robust_filter(
        torch.tensor([[10.0]]).double(), torch.ones(1, 1).bool(), estimator=estimator, q=1.0, v=1.0, kappa=1.0
    )
    step = {
        "saturated": 0.5,
        # 0.5, less half of that, and half of a second look at what is left, cut at 1.
        "two_step": 0.5 - 0.25 + 0.5,
        "huber": 10 / (1 + 10 / math.sqrt(2)),
        "wolf": 10 / (1 + 1 + 100),
        "inflation": 10 / 100,
    }[estimator]
    assert found.rho.item() == pytest.approx(step, rel=1e-14)
    assert found.clipped.item()


@pytest.mark.parametrize("estimator", WITH_THRESHOLD)
def test_an_outlier_raises_the_next_gain_only_where_the_gain_depends_on_data(estimator: str) -> None:
    observed = torch.ones(1, 2).bool()
    arguments = {"estimator": estimator, "q": 1e-2, "v": 1.0, "kappa": 1.0, "p0": 1.0}
    calm, after = (
        robust_filter(torch.tensor([[first, 0.0]]).double(), observed, **arguments).gain[0, 1].item()
        for first in (0.0, 50.0)
    )
    if estimator in GAIN_DEPENDS_ON_DATA:
        assert after > 1.2 * calm
    else:
        assert after == calm


def test_a_constant_alpha_is_the_start_in_the_steady_state() -> None:
    alpha, v = 0.2, 0.3
    z = np.random.default_rng(3).standard_normal((2, 50))
    mask = np.random.default_rng(4).random(z.shape) < 0.8
    result = _run(z, mask, estimator="ema", q=alpha**2 * v / (1 - alpha), v=v, p0=alpha * v)
    np.testing.assert_allclose(result.gain.numpy(), alpha * mask, rtol=1e-13)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_gradient_through_the_filter_is_exact(estimator: str) -> None:
    generator = torch.Generator().manual_seed(5)
    z = (torch.randn(3, 9, generator=generator, dtype=torch.float64) * 2).requires_grad_()
    mask = torch.rand(3, 9, generator=generator) < 0.8
    arguments = {"estimator": estimator, "q": 0.3, "v": 0.5, "kappa": math.inf if estimator == "ema" else 0.8}
    result = filter_log_ratios(z, mask, gradient="through", **arguments)
    assert estimator == "ema" or 0.2 < result.clipped[mask].double().mean() < 0.9
    assert torch.autograd.gradcheck(lambda x: filter_log_ratios(x, mask, gradient="through", **arguments).rho, z)
    assert not any(getattr(result, name).requires_grad for name in ("innovation", "gain", "sigma"))
    assert not filter_log_ratios(z, mask, **arguments).rho.requires_grad


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("gradient", ["through", "straight_through"])
def test_what_is_not_finite_is_reported_where_observed_and_nothing_in_padding(
    estimator: str, value: float, gradient: str
) -> None:
    z, mask = torch.full((2, 5), 0.5), torch.ones(2, 5).bool()
    mask[1, 3] = False
    z[1, 3] = value
    z.requires_grad_()
    arguments = {"q": 1e-2, "v": 1.0, "kappa": math.inf if estimator == "ema" else 0.1, "estimator": estimator}
    rho = filter_log_ratios(z, mask, gradient=gradient, **arguments).rho
    assert rho.isfinite().all()
    if gradient == "through":
        (slope,) = torch.autograd.grad(rho.sum(), z)
        assert slope.isfinite().all()
        assert slope[1, 3] == 0
    with pytest.raises(NonFiniteLogRatioError, match="row 1, token 3"):
        filter_log_ratios(z, torch.ones(2, 5), gradient=gradient, **arguments)


@pytest.mark.parametrize("estimator", WITH_THRESHOLD)
def test_a_measurement_too_large_to_square_has_no_weight(estimator: str) -> None:
    z = torch.tensor([[1e200, 0.1]], dtype=torch.float64)
    result = robust_filter(z, torch.ones(1, 2).bool(), estimator=estimator, q=1e-2, v=1.0, kappa=1.0)
    assert result.rho.isfinite().all()
    assert result.weight[0, 0] < 1e-150


def test_without_numba_the_loop_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    z, mask = np.random.default_rng(0).standard_normal((3, 30)), np.ones((3, 30), dtype=bool)
    arguments = {"estimator": "wolf", "q": 1e-2, "v": 0.1, "kappa": 1.0}
    compiled = _run(z, mask, **arguments)
    monkeypatch.setattr("iskpo.robust.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "iskpo.kernels.cpu", None)
    torch.testing.assert_close(_run(z, mask, **arguments).rho, compiled.rho, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": "hubr"}, "estimator must be one of .*'huber'.*'hubr'"),
        ({"estimator": "ema"}, "estimator ema has no threshold"),
        ({"numerics": "public-cumsum-fp32", "kappa": math.inf}, "one formula, without the estimator wolf"),
        ({"v": 0.0}, "v must be finite"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, object], message: str) -> None:
    arguments = {"q": 1e-2, "v": 1.0, "kappa": 1.0, "estimator": "wolf", **change}
    with pytest.raises(ValueError, match=message):
        filter_log_ratios(torch.zeros(1, 2), torch.ones(1, 2), **arguments)
