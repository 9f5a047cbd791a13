"""Thresholds from the step before, against numpy on the innovations themselves."""

import math

import numpy as np
import pytest
import torch

from iskpo.batch_threshold import settings_after
from iskpo.filter import filter_log_ratios, filter_with
from iskpo.innovations import InnovationSummary
from iskpo.settings import MAD_SCALE, FilterSettings


def _step(seed: int, *, v: float = 1.0, scale: float = 0.05) -> tuple[InnovationSummary, np.ndarray, np.ndarray]:
    random = torch.Generator().manual_seed(seed)
    z = scale * torch.randn(16, 50, generator=random, dtype=torch.float64)
    mask = torch.rand(16, 50, generator=random) < 0.9
    result = filter_log_ratios(z, mask, q=1e-4 * v, v=v)
    parts = [slice(0, 3), slice(3, 10), slice(10, 16)]
    whole = InnovationSummary.empty()
    for rows in parts:
        part = filter_log_ratios(z[rows], mask[rows], q=1e-4 * v, v=v)
        whole = whole.merge(InnovationSummary.from_filter(part, mask[rows]))
    return whole, result.innovation[mask].abs().numpy(), result.sigma[mask].numpy()


@pytest.mark.parametrize("v", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize(
    ("estimator", "kappa"), [("batch_mad", 2.0), ("batch_mean", 2.0), ("batch_quantile", 0.95), ("batch_quantile", 0.5)]
)
def test_the_threshold_is_that_of_the_innovations_whatever_v_is(estimator: str, kappa: float, v: float) -> None:
    before, size, sigma = _step(1, v=v)
    exact = {
        "batch_mad": kappa * MAD_SCALE * np.quantile(size, 0.5),
        "batch_mean": kappa * size.mean(),
        "batch_quantile": np.quantile(size, min(kappa, 1.0)),
    }[estimator]
    found = settings_after(FilterSettings(q=1e-4 * v, v=v, kappa=kappa, estimator=estimator), before)
    assert found.estimator == "clip"
    # 3.1 % of a bin, and a little because sigma rises over the first tokens.
    assert found.kappa * sigma.mean() == pytest.approx(exact, rel=0.035)


def test_it_does_not_depend_on_how_the_step_was_cut_up() -> None:
    before, _, _ = _step(2)
    halves = [_step(seed)[0] for seed in (3, 4)]
    planned = FilterSettings(q=1e-4, v=1.0, kappa=3.0, estimator="batch_mad")
    one, other = halves[0].merge(halves[1]), halves[1].merge(halves[0])
    assert settings_after(planned, one).kappa == settings_after(planned, other).kappa
    assert settings_after(planned, before).kappa != math.inf


@pytest.mark.parametrize("estimator", ["batch_mad", "batch_mean", "batch_quantile"])
def test_nothing_is_clipped_without_a_step_before_or_after_one_that_changed_nothing(estimator: str) -> None:
    planned = FilterSettings(q=1e-4, v=1.0, kappa=0.9, estimator=estimator)
    nothing = filter_log_ratios(torch.zeros(2, 5), torch.ones(2, 5), q=1e-4, v=1.0)
    still = InnovationSummary.from_filter(nothing, torch.ones(2, 5))
    for before in (None, InnovationSummary.empty(), still):
        assert settings_after(planned, before) == FilterSettings(q=1e-4, v=1.0)


def test_other_estimators_are_left_alone_and_the_filter_itself_refuses_a_batchs() -> None:
    planned = FilterSettings(q=1e-4, v=1.0, kappa=3.0, estimator="mad")
    assert settings_after(planned, _step(1)[0]) is planned
    with pytest.raises(ValueError, match="estimator batch_mad clips by the step before"):
        filter_with(
            FilterSettings(q=1e-4, v=1.0, kappa=3.0, estimator="batch_mad"), torch.zeros(1, 2), torch.ones(1, 2)
        )
