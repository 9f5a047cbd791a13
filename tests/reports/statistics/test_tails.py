"""Against scipy's fit of raw values, known tails, and held-out steps."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from iskpo.innovation_histogram import BINS, bin_bounds
from reports.statistics.tails import EDGES, TailModel, fit_tail, tail_start, validate_tail


def _values(*, steps: int = 20, tokens: int = 4000, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [np.abs(random.standard_t(3, size=tokens)) for _ in range(steps)]


def test_bins_are_those_of_the_loss() -> None:
    assert [(EDGES[index], EDGES[index + 1]) for index in range(BINS)] == [bin_bounds(index) for index in range(BINS)]


def _counts(values: list[np.ndarray]) -> np.ndarray:
    """Raw |innovation| / sigma of each step in the bins (T, BINS)."""
    return np.array([np.histogram(step, bins=EDGES)[0] for step in values])


def _shares(model: TailModel, levels: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """P(X > x), and its interval's ends (2, m)."""
    value, draws = model.log_share_draws(levels)
    return np.exp(value), np.quantile(np.exp(draws), [0.025, 0.975], axis=0)


def test_it_is_scipys_fit_of_the_raw_excesses() -> None:
    values = _values()
    model = fit_tail(counts=_counts(values), tail_from=4.0)
    excess = np.concatenate(values)
    excess = excess[excess >= 4.0] - 4.0
    shape, _, scale = stats.genpareto.fit(excess, floc=0)
    assert (model.shape, model.scale) == pytest.approx((shape, scale), rel=0.03)
    # The error of xi as the information matrix of independent excesses has it (Smith 1987): (1 + xi) / sqrt(n).
    error = math.sqrt((model.influence[:, 2] ** 2).sum())
    assert error == pytest.approx((1 + shape) / math.sqrt(excess.size), rel=0.35)


def test_it_predicts_beyond_what_was_seen() -> None:
    model = fit_tail(counts=_counts(_values(steps=20, tokens=2000, seed=1)))
    share, (low, high) = _shares(model, [10.0, 60.0])
    truth = 2 * stats.t.sf([10.0, 60.0], 3)
    assert model.largest < 60.0
    assert ((low <= truth) & (truth <= high)).all()
    assert share[0] > share[1]
    with pytest.raises(ValueError, match="begins at"):
        model.log_share_draws([model.tail_from / 2])


@pytest.mark.parametrize(("draw", "shape"), [("exponential", 0.0), ("uniform", -1.0)])
def test_known_shapes(draw: str, shape: float) -> None:
    random = np.random.default_rng(1)
    # Tokens of 1 to 2, so that bins are fine compared with the tail.
    values = [1.0 + getattr(random, draw)(size=3000) for _ in range(20)]
    assert fit_tail(counts=_counts(values), tail_from=1.5).shape == pytest.approx(shape, abs=0.06)


def test_steps_that_differ_widen_the_error() -> None:
    values = _values()
    mixed = [value * factor for value, factor in zip(values, np.linspace(0.5, 1.5, 20), strict=True)]
    alike, differing = (fit_tail(counts=_counts(one), tail_from=4.0) for one in (values, mixed))
    (_, narrow), (_, wide) = alike.log_share_draws(4.0), differing.log_share_draws(4.0)
    assert wide.std() > 2 * narrow.std()


def test_survival_is_scipys() -> None:
    model = fit_tail(counts=_counts(_values()), tail_from=4.0)
    for shape in (-0.3, 0.0, 1e-12, 0.4):
        other = dataclasses.replace(model, shape=shape)
        found, _ = _shares(other, [4.0, 5.5, 9.0, 40.0])
        expected = model.share * stats.genpareto.sf(np.array([0.0, 1.5, 5.0, 36.0]), shape, scale=model.scale)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_held_out_steps() -> None:
    counts = _counts(_values(steps=30, tokens=3000))
    held_out = np.arange(30) % 3 == 2
    model, table = validate_tail(counts=counts, held_out=held_out, levels=[5, 6, 10, 20, 1000])
    assert table["inside"].all()
    assert table["beyond"].tolist() == [False, False, False, False, True]
    assert table["observed"][0] == counts[held_out][:, EDGES[:-1] >= 5].sum() / counts[held_out].sum()
    assert model.steps == 20
    # A tail that grew after the fit is found out.
    grown = _counts([value * (2 if hold else 1) for value, hold in zip(_values(steps=30), held_out, strict=True)])
    assert not validate_tail(counts=grown, held_out=held_out, levels=[5, 6])[1]["inside"].any()
    with pytest.raises(ValueError, match="held out"):
        validate_tail(counts=counts, held_out=np.zeros(30, bool), levels=[4])


def test_too_little_is_said_to_be() -> None:
    with pytest.raises(ValueError, match="too few for a tail"):
        tail_start(counts=_counts([np.ones(10)] * 3))
    with pytest.raises(ValueError, match="cannot determine a tail"):
        fit_tail(counts=_counts(_values(steps=3)))
