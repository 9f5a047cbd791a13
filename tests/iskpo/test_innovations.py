"""A summary of parts, merged in any way, is the summary of the whole."""

import math
import os
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo import FilterResult, InnovationSummary, filter_log_ratios, innovations, realised_gain
from iskpo.innovation_histogram import MULTIPLES, RESOLUTION
from iskpo.innovations import QUANTILES
from tests.iskpo.filter_results import rows_of

KAPPA = 1.5


def _batch(seed: int, rows: int = 12, tokens: int = 30, kappa: float = KAPPA) -> tuple[FilterResult, torch.Tensor]:
    generator = np.random.default_rng(seed)
    z = torch.from_numpy(0.2 * generator.standard_t(3, (rows, tokens)) + 0.1).float()
    mask = torch.from_numpy(np.arange(tokens) < generator.integers(0, tokens + 1, (rows, 1)))
    return filter_log_ratios(z, mask, q=1e-3, v=1e-2, kappa=kappa), mask


def _assert_same(one: InnovationSummary, other: InnovationSummary) -> None:
    """To 1e-9; odd moments relative to what they are made of, as near 0 they are differences of large sums."""
    values, others = asdict(one), asdict(other)
    assert values.pop("histogram") == others.pop("histogram")
    spread = math.sqrt(other.m2 / other.tokens) if other.tokens else 0.0
    scale = {"mean": spread, "m3": other.m2 * spread}
    for name, value in others.items():
        assert values[name] == pytest.approx(value, rel=1e-9, abs=1e-9 * scale.get(name, 0.0)), name


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_any_split_and_order_gives_one_float64_pass(seed: int, data: st.DataObject) -> None:
    result, mask = _batch(seed)
    order = data.draw(st.permutations(range(12)))
    cuts = sorted(data.draw(st.sets(st.integers(1, 11))))
    parts = [order[a:b] for a, b in zip([0, *cuts], [*cuts, 12], strict=True)]
    summaries = [InnovationSummary.from_filter(rows_of(result, rows), mask[rows]) for rows in parts]
    while len(summaries) > 1:
        first = data.draw(st.integers(0, len(summaries) - 2))
        summaries[first : first + 2] = [summaries[first].merge(summaries[first + 1])]

    _assert_same(summaries[0], InnovationSummary.from_filter(result, mask))
    innovation = result.innovation[mask].double().numpy()
    if len(innovation):
        metrics = summaries[0].as_metrics()
        deviation = innovation - innovation.mean()
        assert metrics["innovation/std"] == pytest.approx(innovation.std(), rel=1e-9)
        assert metrics["innovation/max_abs"] == np.abs(innovation).max()
        sigma = result.sigma[mask].double().numpy()
        assert metrics["innovation/max_abs_over_sigma"] == pytest.approx((np.abs(innovation) / sigma).max(), rel=1e-15)
        assert metrics["kalman/threshold"] == pytest.approx(KAPPA * sigma.mean(), rel=1e-12)
        ratio = np.abs(innovation) / sigma
        for multiple in MULTIPLES:
            assert metrics[f"innovation/exceed_{multiple:g}"] == (ratio > multiple).mean()
        for name, share in QUANTILES.items():
            exact = np.quantile(ratio, share, method="inverted_cdf")
            assert metrics[f"innovation/{name}"] == pytest.approx(exact, rel=RESOLUTION / 2)
        assert metrics["kalman/clip_fraction"] == result.clipped[mask].double().mean().item()
        observed = mask[mask.any(1)].sum(1).double()
        rest = (result.clipped & mask)[mask.any(1)].sum(1) - metrics["kalman/clip_fraction"] * observed
        if len(observed) > 1 and metrics["kalman/clip_fraction"]:
            # The standard error of a mean, of values that are residuals of a ratio.
            error = rest.std().item() * math.sqrt(len(rest)) / observed.sum().item()
            assert metrics["kalman/clip_fraction_error"] == pytest.approx(error, rel=1e-9, abs=1e-15)
        if len(innovation) > 1:
            skewness = (deviation**3).mean() / innovation.std() ** 3
            kurtosis = (deviation**4).mean() / innovation.std() ** 4
            assert metrics["innovation/skewness"] == pytest.approx(skewness, rel=1e-9, abs=1e-9)
            assert metrics["innovation/kurtosis"] == pytest.approx(kurtosis, rel=1e-9)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seeds=st.tuples(st.integers(0, 999), st.integers(0, 999), st.integers(0, 999)))
def test_merging_is_associative_and_commutative(seeds: tuple[int, int, int]) -> None:
    a, b, c = (InnovationSummary.from_filter(*_batch(seed, rows=3)) for seed in seeds)
    _assert_same(a.merge(b).merge(c), a.merge(b.merge(c)))
    _assert_same(a.merge(b), b.merge(a))


def test_the_empty_summary_changes_nothing() -> None:
    summary, empty = InnovationSummary.from_filter(*_batch(0)), InnovationSummary.empty()
    assert summary.merge(empty) == summary == empty.merge(summary)
    assert empty.merge(empty) == empty
    assert empty.as_metrics() == {"kalman/tokens": 0.0, "kalman/clipped_tokens": 0.0}
    result, mask = _batch(1)
    nothing = torch.zeros_like(mask)
    masked_out = filter_log_ratios(result.rho, nothing, q=1e-3, v=1e-2, kappa=KAPPA)
    assert InnovationSummary.from_filter(masked_out, nothing) == empty


def test_metric_names_are_the_agreed_ones() -> None:
    metrics = InnovationSummary.from_filter(*_batch(3)).as_metrics()
    assert set(metrics) == {
        "kalman/gain_mean",
        "kalman/clip_fraction",
        "kalman/clip_fraction_error",
        "kalman/clipped_tokens",
        "kalman/tokens",
        "kalman/threshold",
        "innovation/max_abs",
        "innovation/mean",
        "innovation/std",
        "innovation/skewness",
        "innovation/kurtosis",
        "innovation/max_abs_over_sigma",
        "innovation/q50",
        "innovation/q99",
        "innovation/q999",
        "innovation/exceed_0.1",
        "innovation/exceed_0.3",
        "innovation/exceed_1",
        "innovation/exceed_2",
        "innovation/exceed_3",
        "innovation/exceed_5",
    }
    unclipped = InnovationSummary.from_filter(*_batch(3, kappa=math.inf)).as_metrics()
    assert set(metrics) - set(unclipped) == {"kalman/threshold", "kalman/clip_fraction_error"}


def test_without_variance_there_is_no_skewness_or_kurtosis() -> None:
    result = filter_log_ratios(torch.zeros(2, 5), torch.ones(2, 5), q=1e-3, v=1e-2)
    metrics = InnovationSummary.from_filter(result, torch.ones(2, 5)).as_metrics()
    assert metrics["innovation/std"] == 0
    assert "innovation/skewness" not in metrics
    assert "innovation/kurtosis" not in metrics
    assert all(math.isfinite(value) for value in metrics.values())


def test_kurtosis_of_a_gaussian_is_three_and_heavy_tails_exceed_it() -> None:
    generator = np.random.default_rng(0)
    mask = torch.ones(200, 500)
    kurtosis = []
    for z in (generator.standard_normal((200, 500)), generator.standard_t(5, (200, 500))):
        result = filter_log_ratios(torch.from_numpy(z), mask, q=1e-12, v=1.0)
        kurtosis.append(InnovationSummary.from_filter(result, mask).as_metrics()["innovation/kurtosis"])
    assert kurtosis[0] == pytest.approx(3, abs=0.1)
    assert kurtosis[1] > 5


@pytest.mark.parametrize("q", [1e-12, 1e-6, 1e-2])
def test_gain_of_float32_batches_is_the_closed_form(q: float) -> None:
    lengths = np.random.default_rng(0).integers(0, 3000, 64)
    mask = torch.from_numpy(np.arange(3000) < lengths[:, None])
    result = filter_log_ratios(torch.zeros(64, 3000), mask, q=q, v=1.0)
    parts = [InnovationSummary.from_filter(rows_of(result, slice(i, i + 4)), mask[i : i + 4]) for i in range(0, 64, 4)]
    total = InnovationSummary.empty()
    for part in parts:
        total = total.merge(part)
    assert total.sequences == (lengths > 0).sum()
    assert total.as_metrics()["kalman/gain_mean"] == pytest.approx(realised_gain(lengths=lengths, q=q, v=1.0), rel=1e-7)


def test_tokens_where_the_public_numerics_broke_are_counted() -> None:
    z, mask = 0.1 * torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)), torch.ones(2, 1000)
    result = filter_log_ratios(z, mask, q=1e-2, v=1.0, numerics="public-cumsum-fp32")
    summary = InnovationSummary.from_filter(result, mask)
    metrics = summary.as_metrics()
    # rho is NaN from token 871, so the innovation is from 872.
    assert metrics["kalman/nonfinite_tokens"] == 2 * (1000 - 872)
    assert metrics["kalman/tokens"] == 2000
    assert math.isfinite(metrics["innovation/std"])
    assert math.isnan(metrics["kalman/gain_mean"])
    halves = [InnovationSummary.from_filter(rows_of(result, [row]), mask[[row]]) for row in (0, 1)]
    merged = halves[0].merge(halves[1])
    assert merged.m4 == pytest.approx(summary.m4, rel=1e-9)
    assert merged.nonfinite == summary.nonfinite


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 999), numerics=st.sampled_from(["exact", "public-cumsum-fp32"]), rows=st.integers(1, 5))
def test_the_compiled_pass_agrees_with_torch(seed: int, numerics: str, rows: int) -> None:
    generator = np.random.default_rng(seed)
    z = torch.from_numpy(0.3 * generator.standard_t(3, (rows, 450))).float()
    mask = torch.from_numpy(generator.random(z.shape) < generator.random((rows, 1)))
    # The public formula's gain is NaN from token 394.
    result = filter_log_ratios(z, mask, q=5e-2, v=1.0, kappa=math.inf, numerics=numerics)
    compiled = innovations._compiled_sums(result, mask)
    plain = innovations._device_sums(result, mask)
    assert list(compiled[0]) == plain[0]
    assert compiled[2] == plain[2]
    _, m2, *_ = compiled[1][4:]
    spread = math.sqrt(m2 / max(1, compiled[0][2]))
    scales = [0.0, 0.0, 0.0, 0.0, spread, 0.0, m2 * spread, 0.0]
    for value, other, scale in zip(compiled[1], plain[1], scales, strict=True):
        assert value == pytest.approx(other, rel=1e-9, abs=1e-9 * scale, nan_ok=True)


def test_compiled_code_leaves_torch_the_threads_it_was_given() -> None:
    # In a process of its own: numba sets the number when it first runs a kernel, for good.
    code = (
        "import torch; from iskpo import InnovationSummary, filter_log_ratios\n"
        "z, mask = torch.randn(4, 50), torch.ones(4, 50)\n"
        "InnovationSummary.from_filter(filter_log_ratios(z, mask, q=1e-3, v=1e-2), mask)\n"
        "print(torch.get_num_threads())"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "1\n"
