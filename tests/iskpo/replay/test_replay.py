"""Replay against its specification, its fallback, and the closed forms of its grid."""

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo.closed_form import steady_state_gain, steady_state_threshold
from iskpo.kernels import replay_kernel, replay_numpy
from iskpo.reference.reference_filter import uncertain_reference_filter
from iskpo.reference.replay_reference import reference_replay
from iskpo.replay.refilter import PackedTraces, ReplayResult, ReplaySettings, replay
from iskpo.replay.refilter_any import replay_estimator
from iskpo.replay.traces import Traces
from iskpo.settings import BatchEstimator, FilterSettings, RobustEstimator


def _traces(sequences: list[np.ndarray]) -> Traces:
    offsets = np.concatenate(([0], np.cumsum([len(z) for z in sequences]))).astype(np.int64)
    z = np.concatenate(sequences).astype(np.float32)
    return Traces({}, [""] * len(sequences), np.zeros(len(sequences), np.float32), offsets, z)


def _random_traces(seed: int, *, sequences: int = 40, longest: int = 60, holes: float = 0.2) -> Traces:
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(sequences):
        z = 0.05 * random.standard_t(3, size=random.integers(1, longest + 1))
        z[random.random(z.size) < holes] = np.nan
        rows.append(z)
    return _traces(rows)


_PARAMETERS = st.fixed_dictionaries(
    {
        "q": st.floats(-9, 0).map(lambda x: 10**x),
        "v": st.floats(-6, 1).map(lambda x: 10**x),
        "kappa": st.one_of(st.just(math.inf), st.floats(0.1, 5)),
        "p0": st.sampled_from([0.0, 1e-3]),
        "rho0": st.sampled_from([0.0, -0.01]),
    }
)


@pytest.mark.parametrize("kernel", [replay_kernel, replay_numpy])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), parameters=st.lists(_PARAMETERS, min_size=1, max_size=5))
def test_every_kernel_does_what_the_specification_says(
    kernel: object, seed: int, parameters: list[dict[str, float]]
) -> None:
    traces = _random_traces(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iskpo.replay.refilter._kernel", lambda: kernel)
        result = replay(traces, settings=ReplaySettings.of(**{n: [p[n] for p in parameters] for n in parameters[0]}))
    for index, chosen in enumerate(parameters):
        expected = reference_replay(map(traces.sequence, range(len(traces))), **chosen)
        # Counts are those of float64 decisions: a token within 1e-15 of a limit does not occur in random input.
        assert result.counts[:, index].tolist() == [expected.clipped, expected.outside, expected.switched]
        assert result.gain_mean[index] == pytest.approx(expected.gain_mean, rel=1e-12)
        # At the smallest gains rho moves by 1e-10 of rho_0 a token, of which float64 keeps six digits.
        assert result.autocorrelation[index] == pytest.approx(expected.autocorrelation, rel=1e-5, abs=1e-8)


def test_holes_carry_the_state_and_change_nothing_else() -> None:
    plain = _random_traces(1, holes=0)
    random = np.random.default_rng(2)
    holed = []
    for index in range(len(plain)):
        z = plain.sequence(index)
        holed.append(np.insert(z, np.sort(random.integers(0, z.size + 1, size=9)), np.nan))
    chosen = ReplaySettings.of(q=[1e-4, 1e-2], v=1e-2, kappa=1.0)
    assert (replay(plain, settings=chosen).counts == replay(_traces(holed), settings=chosen).counts).all()
    assert (replay(plain, settings=chosen).sums == replay(_traces(holed), settings=chosen).sums).all()


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 39), seed=st.integers(0, 100))
def test_results_of_parts_of_a_trace_add_up(cut: int, seed: int) -> None:
    sequences = [_random_traces(seed, holes=0).sequence(index) for index in range(40)]
    chosen = ReplaySettings.grid(gain=[1e-3, 0.1], threshold=[0.05, 0.5])

    def replayed(part: list[np.ndarray]) -> ReplayResult:
        return replay(_traces(part), settings=chosen)

    whole = replayed(sequences)
    parts = replayed(sequences[:cut]).merge(replayed(sequences[cut:]))
    assert (parts.tokens, parts.pairs) == (whole.tokens, whole.pairs)
    assert (parts.counts == whole.counts).all()
    assert parts.sums == pytest.approx(whole.sums, rel=1e-10, abs=1e-12)


def test_long_traces_are_done_in_calls_that_report_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    traces, chosen = _random_traces(3, sequences=200), ReplaySettings.of(q=1e-3, v=[1e-2, 1.0], kappa=2.0)
    at_once = replay(traces, settings=chosen)
    monkeypatch.setattr("iskpo.replay.refilter._TOKENS_A_CALL", 1)
    shares: list[float] = []
    in_calls = replay(traces, settings=chosen, progress=shares.append)
    assert (in_calls.counts == at_once.counts).all()
    assert in_calls.sums == pytest.approx(at_once.sums, rel=1e-12)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) == 13  # tiles of 16 sequences


def test_a_grid_has_the_gains_and_thresholds_that_were_asked_for() -> None:
    chosen = ReplaySettings.grid(gain=[1e-4, 0.5], threshold=[0.1, 1.0, 10.0])
    gain = steady_state_gain(q=chosen.q, v=chosen.v)
    threshold = steady_state_threshold(q=chosen.q, v=chosen.v, kappa=chosen.kappa)
    assert gain == pytest.approx(np.repeat([1e-4, 0.5], 3), rel=1e-12)
    assert threshold == pytest.approx(np.tile([0.1, 1.0, 10.0], 2), rel=1e-12)


def test_kappa_does_not_matter_at_a_given_gain_and_threshold() -> None:
    traces = _random_traces(4)
    grid = ReplaySettings.grid(gain=[0.02], threshold=[0.08])
    # Twice the kappa at half the sigma.
    other = ReplaySettings.of(q=grid.q / 4, v=grid.v / 4, kappa=2 * grid.kappa)
    first, second = replay(traces, settings=grid), replay(traces, settings=other)
    assert first.counts.tolist() == second.counts.tolist()
    assert first.counts[0, 0] > 0


def test_statistics_of_a_sequence_worked_out_by_hand() -> None:
    # Gain 1/2 at the first token and 3/5 at the second; rho = 0.2, then 0.2 + 0.6 (-0.5) = -0.1.
    traces = _traces([np.array([0.4, np.nan, -0.3])])
    result = replay(traces, settings=ReplaySettings.of(q=1.0, v=1.0), eps_low=0.05, eps_high=0.2)
    assert (result.tokens, result.pairs) == (2, 1)
    assert result.gain_mean[0] == pytest.approx(0.55)
    assert result.switch_frequency[0] == 1.0
    assert result.outside_fraction[0] == 1.0  # exp(0.2) > 1.2, exp(-0.1) < 0.95
    assert result.clip_fraction[0] == 0.0
    assert result.autocorrelation[0] == pytest.approx(-1.0)


def test_smoothness_of_what_does_not_vary_is_undefined() -> None:
    result = replay(_traces([np.zeros(5)]), settings=ReplaySettings.of(q=1e-2, v=1.0))
    assert math.isnan(result.autocorrelation[0])
    assert result.switch_frequency[0] == 0.0
    single = replay(_traces([np.ones(1)]), settings=ReplaySettings.of(q=1e-2, v=1.0))
    assert math.isnan(single.switch_frequency[0])
    assert math.isnan(single.autocorrelation[0])


def test_traces_without_a_token_are_refused() -> None:
    with pytest.raises(ValueError, match="no observed token"):
        replay(_traces([np.full(3, np.nan)]), settings=ReplaySettings.of(q=1e-2, v=1.0))


@pytest.mark.parametrize("values", [{"q": -1.0}, {"v": 0.0}, {"kappa": 0.0}, {"p0": -1.0}, {"rho0": math.inf}])
def test_impossible_settings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        ReplaySettings.of(**{"q": 1e-2, "v": 1.0, **values})


def test_without_numba_the_fallback_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = _random_traces(5)
    chosen = ReplaySettings.grid(gain=np.geomspace(1e-4, 0.5, 30), threshold=np.geomspace(0.01, 1, 11))
    compiled = replay(traces, settings=chosen)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(replay_numpy, "_SETTINGS_AT_ONCE", 100)
    fallback = replay(traces, settings=chosen)
    assert (fallback.counts == compiled.counts).all()
    assert fallback.sums == pytest.approx(compiled.sums, rel=1e-11, abs=1e-14)


def test_tiles_hold_every_observed_token_once() -> None:
    traces = _random_traces(6)
    tiles = PackedTraces.of(traces)
    assert tiles.lengths.sum() == tiles.tokens == traces.tokens
    assert np.sort(tiles.z[tiles.z != 0]) == pytest.approx(np.sort(traces.z[~np.isnan(traces.z) & (traces.z != 0)]))


@pytest.mark.parametrize("estimator", get_args(RobustEstimator))
@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), parameters=_PARAMETERS)
def test_every_estimator_is_replayed_as_the_specification_says(
    estimator: RobustEstimator, seed: int, parameters: dict[str, float]
) -> None:
    parameters = {**parameters, "kappa": {"ema": math.inf, "quantile": 0.7}.get(estimator, 1.0)}
    if estimator == "two_step":
        parameters["state_kappa"] = 0.05
    traces = _random_traces(seed)
    result = replay_estimator(PackedTraces.of(traces), settings=FilterSettings(estimator=estimator, **parameters))
    expected = reference_replay(map(traces.sequence, range(len(traces))), estimator=estimator, **parameters)
    # An innovation at its threshold may fall on either side of it; in random input few do.
    assert abs(int(result.counts[0, 0]) - expected.clipped) <= (2 if estimator == "quantile" else 0)
    assert result.counts[1:, 0].tolist() == [expected.outside, expected.switched]
    assert result.gain_mean[0] == pytest.approx(expected.gain_mean, rel=1e-9)
    assert result.autocorrelation[0] == pytest.approx(expected.autocorrelation, rel=1e-5, abs=1e-8)


def test_a_noise_by_uncertainty_is_replayed_as_the_specification_says() -> None:
    traces = _random_traces(7)
    old = np.log(np.random.default_rng(7).uniform(0.01, 1, traces.z.shape)).astype(np.float32)
    traces = replace(traces, old_log_prob=np.where(np.isnan(traces.z), np.nan, old))
    parameters = {"q": 1e-3, "v": 1e-2, "kappa": 1.0, "p0": 0.1, "rho0": -0.01}
    chosen = FilterSettings(estimator="uncertainty", **parameters)
    result = replay_estimator(PackedTraces.of(traces), settings=chosen)
    assert traces.old_log_prob is not None
    pairs = zip(traces.observed(traces.z), traces.observed(traces.old_log_prob), strict=True)
    expected = [
        uncertain_reference_filter(z[None], np.ones((1, z.size), bool), old[None], **parameters) for z, old in pairs
    ]
    assert result.counts[0, 0] == sum(int(row.clipped.sum()) for row in expected) > 0
    assert result.sums[0, 0] == pytest.approx(sum(row.gain.sum() for row in expected), rel=1e-9)
    with pytest.raises(ValueError, match="needs old_log_prob"):
        replay_estimator(PackedTraces.of(replace(traces, old_log_prob=None)), settings=chosen)


def test_the_estimators_way_is_the_kernels_for_clip() -> None:
    packed = PackedTraces.of(_random_traces(5))
    chosen = FilterSettings(q=1e-3, v=1e-2, kappa=1.0, rho0=-0.01)
    one = replay_estimator(packed, settings=chosen)
    other = replay(packed, settings=ReplaySettings.of(q=1e-3, v=1e-2, kappa=1.0, rho0=-0.01))
    assert (one.counts == other.counts).all()
    assert (one.tokens, one.pairs) == (other.tokens, other.pairs)
    np.testing.assert_allclose(one.sums, other.sums, rtol=1e-9)


@pytest.mark.parametrize(("estimator", "kappa"), [("batch_mad", 2.0), ("batch_mean", 2.0), ("batch_quantile", 0.9)])
def test_a_batchs_threshold_is_that_of_all_that_is_replayed(estimator: BatchEstimator, kappa: float) -> None:
    packed = PackedTraces.of(_random_traces(6))
    found = replay_estimator(packed, settings=FilterSettings(q=1e-6, v=1.0, kappa=kappa, estimator=estimator))
    scaled = replay_estimator(
        packed, settings=FilterSettings(q=2**14 * 1e-6, v=2**14, kappa=kappa, estimator=estimator)
    )
    assert 0.02 < found.clip_fraction[0] < 0.3
    # A power of two moves the bins of the histogram onto each other.
    assert found.counts[0] == scaled.counts[0]
