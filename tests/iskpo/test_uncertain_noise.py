"""Measurement noise that follows how unsure the old policy was: against its specification, and what it promises."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iskpo import filter_log_ratios
from iskpo.filter import FilterResult
from iskpo.objective import kalman_clipped_objective
from iskpo.reference.reference_filter import reference_filter, uncertain_reference_filter
from iskpo.settings import NOISE_FLOOR, FilterSettings

FIELDS = ("rho", "innovation", "gain", "sigma")
decades = st.floats(-8, 0).map(lambda exponent: 10.0**exponent)
shapes = st.tuples(st.integers(0, 3), st.integers(0, 40))
batches = shapes.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float64, shape, elements=st.floats(-5, 5, allow_subnormal=False)),
        hnp.arrays(np.bool_, shape),
        hnp.arrays(np.float64, shape, elements=st.floats(-12, 0, allow_subnormal=False)),
    )
)


def _run(z: np.ndarray, mask: np.ndarray, old: np.ndarray, **arguments: float) -> FilterResult:
    tensors = map(torch.from_numpy, (z, mask, old))
    z_t, mask_t, old_t = tensors
    return filter_log_ratios(z_t, mask_t, old_log_prob=old_t, estimator="uncertainty", **arguments)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    batch=batches,
    q=decades,
    v=decades,
    p0=st.sampled_from([0.0, 0.3]),
    kappa=st.sampled_from([0.5, 3.0, math.inf]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_it_is_the_reference_for_any_mask_and_parameters(
    batch: tuple[np.ndarray, np.ndarray, np.ndarray],
    q: float,
    v: float,
    p0: float,
    kappa: float,
    dtype: type[np.floating],
) -> None:
    z, mask, old = batch[0].astype(dtype), batch[1], batch[2].astype(dtype)
    arguments = {"q": q, "v": v, "kappa": kappa, "p0": p0, "rho0": 0.1}
    # What stands outside the mask has no effect, not even NaN.
    found = _run(np.where(mask, z, np.nan), mask, np.where(mask, old, np.nan), **arguments)
    expected = uncertain_reference_filter(z, mask, old, **arguments)
    # float64 inside, rounded once at the end.
    tolerance = 3e-7 if dtype == np.float32 else 1e-12
    scale = max(1e-300, *(float(np.abs(x).max(initial=0)) for x in (expected.rho, expected.innovation)))
    for name in FIELDS:
        wanted = getattr(expected, name)
        size = scale if name in ("rho", "innovation") else np.abs(wanted).max(initial=1e-300)
        distance = np.abs(getattr(found, name).double().numpy() - wanted)
        assert distance.max(initial=0) <= tolerance * size, name
    threshold = np.where(mask, kappa, 0) * np.where(mask, expected.sigma, 1)
    near = np.abs(np.abs(expected.innovation) - threshold) <= 1e-9 * scale
    assert ((found.clipped.numpy() == expected.clipped) | near).all()


def _example(rows: int = 4, tokens: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    old = np.log(random.uniform(0.05, 0.999, (rows, tokens)))
    return 0.3 * random.standard_t(3, (rows, tokens)), random.random((rows, tokens)) < 0.8, old


def test_of_tokens_that_nobody_expected_it_is_the_plain_filter() -> None:
    z, mask, _ = _example()
    found = _run(z, mask, np.full(z.shape, -800.0), q=1e-3, v=0.1, kappa=1.0)
    expected = reference_filter(z, mask, q=1e-3, v=0.1, kappa=1.0)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)
    assert found.clipped.any()


def test_a_certain_token_is_measured_with_the_floor_and_a_likely_one_counts_more() -> None:
    z, mask, old = np.ones((1, 2)), np.ones((1, 2), bool), np.zeros((1, 2))
    certain = _run(z, mask, old, q=1e-3, v=0.1)
    assert certain.sigma[0, 0].item() == pytest.approx(math.sqrt(1e-3 + 0.1 * NOISE_FLOOR), rel=1e-12)
    gains = [_run(z, mask, np.full((1, 2), math.log(p)), q=1e-3, v=0.1).gain[0, 0].item() for p in (0.1, 0.5, 0.9)]
    assert gains == sorted(gains)
    assert gains[1] == pytest.approx(1e-3 / (1e-3 + 0.1 * 0.25), rel=1e-12)


def test_the_gradient_through_it_is_that_of_differences() -> None:
    z, mask, old = _example(rows=2, tokens=8)
    weights = torch.from_numpy(np.random.default_rng(6).standard_normal(z.shape))

    def total(values: np.ndarray, *, grad: bool = False) -> torch.Tensor:
        tensor = torch.tensor(values, requires_grad=grad)
        result = filter_log_ratios(
            tensor, torch.from_numpy(mask), q=1e-2, v=0.1, kappa=1.5, estimator="uncertainty", gradient="through",
            old_log_prob=torch.from_numpy(old),
        )  # fmt: skip
        summed = (result.rho * weights).sum()
        return torch.autograd.grad(summed, tensor)[0] if grad else summed

    gradient = total(z, grad=True)
    for place in np.ndindex(*z.shape):
        step = np.zeros(z.shape)
        step[place] = 1e-6
        difference = (total(z + step) - total(z - step)).item() / 2e-6
        assert gradient[place].item() == pytest.approx(difference, rel=1e-5, abs=1e-8)


def test_the_objective_gives_it_the_old_policys_log_probabilities() -> None:
    z, mask, old = _example()
    tensors = [torch.from_numpy(x) for x in (old + z, old, np.ones(z.shape), mask)]
    chosen = FilterSettings(q=1e-3, v=0.1, kappa=1.0, estimator="uncertainty")
    result = kalman_clipped_objective(
        log_prob=tensors[0], old_log_prob=tensors[1], advantages=tensors[2], mask=tensors[3], settings=chosen
    )
    expected = uncertain_reference_filter((old + z) - old, mask, old, q=1e-3, v=0.1, kappa=1.0)
    np.testing.assert_allclose(result.filtered.rho, expected.rho, rtol=1e-12, atol=1e-15)


def test_without_the_old_policy_there_is_no_noise_to_be_had() -> None:
    with pytest.raises(ValueError, match="estimator uncertainty needs old_log_prob"):
        filter_log_ratios(torch.zeros(1, 2), torch.ones(1, 2), q=1e-3, v=0.1, estimator="uncertainty")
