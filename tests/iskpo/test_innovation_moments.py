"""Moments by update and class of tokens: against plain float64 loops, and the whole from any parts of it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo import FilterResult, filter_log_ratios, innovation_moments
from iskpo.innovation_moments import (
    CLASS_BOUNDS,
    CLASSES,
    FIELDS,
    kurtosis,
    kurtosis_between,
    kurtosis_within,
    merge_moments,
    merge_updates,
    moments_as_metrics,
    moments_by_class,
    standard_deviation,
    update_metrics,
)
from tests.iskpo.filter_results import rows_of

TOKENS, MAX, MEAN = FIELDS.index("tokens"), FIELDS.index("max_abs"), FIELDS.index("mean")


def _batch(seed: int, rows: int = 9, tokens: int = 20) -> tuple[FilterResult, torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    z = torch.from_numpy(0.2 * random.standard_t(3, (rows, tokens)) + 0.1).float()
    mask = torch.from_numpy(random.random((rows, tokens)) < random.random((rows, 1)))
    old = torch.from_numpy(np.log(random.beta(2, 0.3, (rows, tokens)).clip(1e-6, 1))).float()
    return filter_log_ratios(z, mask, q=1e-3, v=1e-2, kappa=1.5), mask, old


def _reference(innovation: list[float], sigma: list[float], clipped: list[bool]) -> list[float]:
    """`FIELDS` of some tokens, by the definitions, one token after another."""
    count = len(innovation)
    if not count:
        return [0.0] * len(FIELDS)
    mean = math.fsum(innovation) / count
    powers = [math.fsum((x - mean) ** k for x in innovation) for k in (2, 3, 4)]
    nis = math.fsum((x / s) ** 2 for x, s in zip(innovation, sigma, strict=True))
    return [count, sum(clipped), nis, max(map(abs, innovation)), mean, *powers]


def _assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """To 1e-9 of what a sum is made of: an odd moment near 0 is a difference of large sums."""
    spread = np.sqrt(expected[..., MEAN + 1] / np.maximum(expected[..., TOKENS], 1))
    scale = np.abs(expected)
    scale[..., MEAN] += spread
    scale[..., MEAN + 2] += expected[..., MEAN + 1] * spread
    assert (np.abs(found - expected) <= 1e-9 * scale).all()
    assert (found[..., : MEAN - 2] == expected[..., : MEAN - 2]).all()  # counts
    assert (found[..., MAX] == expected[..., MAX]).all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_each_class_is_what_a_plain_loop_finds(seed: int) -> None:
    result, mask, old = _batch(seed)
    of_class: list[list[tuple[float, float, bool]]] = [[] for _ in range(CLASSES)]
    for row, token in mask.nonzero().tolist():
        logarithm = float(old[row, token])
        (place,) = (
            i
            for i in range(CLASSES)
            if (i == 0 or logarithm >= math.log(CLASS_BOUNDS[i]))
            and (i == CLASSES - 1 or logarithm < math.log(CLASS_BOUNDS[i + 1]))
        )
        values = (result.innovation, result.sigma, result.clipped)
        of_class[place].append(tuple(tensor[row, token].item() for tensor in values))
    expected = np.array([_reference(*map(list, zip(*each, strict=True))) if each else _reference([], [], [])
                         for each in of_class])  # fmt: skip
    _assert_close(moments_by_class(result, mask, old), expected)
    # What other devices run, here on the CPU.
    _assert_close(merge_moments(innovation_moments._device_moments(result, mask, old)), expected)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_any_split_and_order_gives_the_whole(seed: int, data: st.DataObject) -> None:
    result, mask, old = _batch(seed)
    order = data.draw(st.permutations(range(9)))
    cuts = sorted(data.draw(st.sets(st.integers(1, 8))))
    parts = [list(order[a:b]) for a, b in zip([0, *cuts], [*cuts, 9], strict=True)]
    moments = [moments_by_class(rows_of(result, rows), mask[rows], old[rows]) for rows in parts]
    whole = moments_by_class(result, mask, old)
    _assert_close(merge_moments(moments), whole)
    while len(moments) > 1:
        first = data.draw(st.integers(0, len(moments) - 2))
        moments[first : first + 2] = [merge_moments(moments[first : first + 2])]
    _assert_close(moments[0], whole)


def test_parts_without_tokens_change_nothing_and_what_is_not_finite_is_left_out() -> None:
    result, mask, old = _batch(3)
    moments, nothing = moments_by_class(result, mask, old), np.zeros((CLASSES, len(FIELDS)))
    _assert_close(merge_moments([nothing, moments, nothing]), moments)
    assert (moments_by_class(result, torch.zeros_like(mask), old) == nothing).all()
    assert (moments_by_class(rows_of(result, []), mask[:0], old[:0]) == nothing).all()
    broken = result.innovation.clone()
    broken[mask] = torch.where(torch.arange(int(mask.sum())) % 2 == 0, torch.nan, broken[mask])
    spoilt = FilterResult(
        result.rho, result.clipped, result.settings, lambda: broken, lambda: (result.gain, result.sigma)
    )
    found = moments_by_class(spoilt, mask, old)
    assert found[:, TOKENS].sum() == int(mask.sum()) // 2
    assert np.isfinite(found).all()


def _updates(*samples: np.ndarray) -> np.ndarray:
    return np.array([_reference(list(x), [1.0] * len(x), [False] * len(x)) for x in samples])


def _pooled_kurtosis(values: np.ndarray) -> float:
    deviation = values - values.mean()
    return float((deviation**4).mean() / (deviation**2).mean() ** 2)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    scales=st.lists(st.floats(0.01, 10), min_size=1, max_size=5),
    means=st.lists(st.floats(-3, 3), min_size=5, max_size=5),
)
def test_within_and_between_are_the_parts_of_the_pooled_kurtosis(
    seed: int, scales: list[float], means: list[float]
) -> None:
    random = np.random.default_rng(seed)
    samples = [scale * random.standard_t(5, int(random.integers(2, 60))) for scale in scales]
    centred = [x - x.mean() for x in samples]
    updates = _updates(*centred)
    assert kurtosis(merge_moments(updates)) == pytest.approx(_pooled_kurtosis(np.concatenate(centred)), rel=1e-9)
    squares, tokens = updates[:, MEAN + 1] ** 2 / updates[:, TOKENS], updates[:, TOKENS]
    few = (squares * (tokens - 1) / (tokens + 1)).sum() / squares.sum()
    product = few * kurtosis_within(updates) * kurtosis_between(updates) / 3
    assert product == pytest.approx(_pooled_kurtosis(np.concatenate(centred)), rel=1e-9)
    # Where means differ, Gaussians of these means and variances, by their raw moments.
    moved = _updates(*(x + mean for x, mean in zip(samples, means, strict=False)))
    assert kurtosis_within(moved) == pytest.approx(kurtosis_within(updates), rel=1e-6)
    weights = moved[:, TOKENS] / moved[:, TOKENS].sum()
    mean = float(weights @ moved[:, MEAN])
    distance, variance = moved[:, MEAN] - mean, moved[:, MEAN + 1] / moved[:, TOKENS]
    fourth = float(weights @ (3 * variance**2 + 6 * variance * distance**2 + distance**4))
    second = float(weights @ (variance + distance**2))
    assert kurtosis_between(moved) == pytest.approx(fourth / second**2, rel=1e-9)


def test_gaussians_whose_scale_grows_from_zero_have_kurtosis_6_without_an_outlier() -> None:
    random = np.random.default_rng(0)
    updates = _updates(*(scale * random.standard_normal(100_000) for scale in (0, 1, 2, 3)))
    assert kurtosis(merge_moments(updates)) == pytest.approx(6, abs=0.1)
    assert kurtosis_between(updates) == pytest.approx(6, abs=0.1)
    assert kurtosis_within(updates) == pytest.approx(3, abs=0.05)


def test_few_tokens_make_gaussians_no_lighter() -> None:
    random = np.random.default_rng(0)
    updates = _updates(
        *(random.uniform(1, 2) * random.standard_normal(int(random.integers(2, 8))) for _ in range(20_000))
    )
    assert kurtosis_within(updates) == pytest.approx(3, abs=0.05)


def test_metrics_hold_each_update_and_the_tables_hold_every_moment() -> None:
    parts = [moments_by_class(*_batch(seed)) for seed in range(3)]
    by_update = merge_updates({0: parts[0]}, {0: parts[1], 2: parts[2]})
    metrics = update_metrics(by_update)
    first = merge_moments(merge_moments(parts[:2]))
    assert metrics["innovation/update_0/std"] == pytest.approx(standard_deviation(first), rel=1e-12)
    assert metrics["innovation/update_2/kurtosis"] == kurtosis(merge_moments(parts[2]))
    everything = merge_moments([merge_moments(part) for part in parts])
    nis = everything[FIELDS.index("nis_sum")] / everything[TOKENS]
    assert metrics["innovation/nis"] == pytest.approx(nis, rel=1e-12)
    assert {name.split("/")[1] for name in metrics} == {
        "update_0", "update_2", "nis", "kurtosis_within", "kurtosis_between"
    }  # fmt: skip
    listed = moments_as_metrics(by_update)
    assert listed["innovation_moments/2/3/m4"] == parts[2][3, FIELDS.index("m4")]
    assert len(listed) == len(FIELDS) * sum(int((m[:, TOKENS] > 0).sum()) for m in by_update.values())
    assert update_metrics({}) == {}
    many = update_metrics(dict.fromkeys(range(20), parts[0]))
    assert {name for name in many if name.endswith("std")} == {"innovation/update_0/std", "innovation/update_19/std"}


def test_an_update_that_has_not_moved_has_a_scale_of_zero_and_no_kurtosis() -> None:
    mask = torch.ones(2, 5)
    result = filter_log_ratios(torch.zeros(2, 5), mask, q=1e-3, v=1e-2)
    metrics = update_metrics({0: moments_by_class(result, mask, torch.zeros(2, 5))})
    assert metrics == {"innovation/update_0/std": 0.0, "innovation/update_0/max_abs": 0.0, "innovation/nis": 0.0}


def test_probability_one_is_in_the_last_class() -> None:
    mask = torch.ones(1, 4)
    result = filter_log_ratios(torch.ones(1, 4), mask, q=1e-3, v=1e-2)
    old = torch.tensor([[0.0, math.log(0.6), math.log(0.95), -30.0]])
    assert moments_by_class(result, mask, old)[:, TOKENS].tolist() == [1, 1, 1, 1]
