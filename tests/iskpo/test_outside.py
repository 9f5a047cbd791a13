"""Tokens outside the bounds, and bounds that leave a wanted share outside, against numpy."""

import math

import numpy as np
import pytest
import torch

from iskpo.innovation_histogram import InnovationHistogram
from iskpo.outside import bounds_scale, count_outside

PLANNED = (3e-4, 4e-4)


def _ratios(seed: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return scale * torch.randn(20, 60, generator=random), torch.rand(20, 60, generator=random) < 0.9


def _share(rho: torch.Tensor, mask: torch.Tensor, low: float, high: float) -> float:
    ratio = np.exp(rho[mask].double().numpy())
    return float(((ratio < 1 - low) | (ratio > 1 + high)).mean())


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("scale", [1e-5, 1e-3, 0.05])
def test_the_bounds_of_the_next_step_leave_the_share_outside(share: float, scale: float) -> None:
    rho, mask = _ratios(1, scale)
    outside, excess = count_outside(rho, mask, planned=PLANNED, used=PLANNED)
    assert outside == round(_share(rho, mask, *PLANNED) * int(mask.sum()))
    assert excess.tokens == int(mask.sum())
    found = bounds_scale(share, excess)
    # Of tokens as many again, within the 3.1 % to which the quantile is known and chance.
    other, other_mask = _ratios(2, scale)
    low, high = found * PLANNED[0], found * PLANNED[1]
    assert _share(other, other_mask, low, high) == pytest.approx(share, abs=0.06 * share + 0.02)
    assert low / high == pytest.approx(0.75)


def test_the_histogram_merges_and_the_bounds_with_it() -> None:
    parts = [count_outside(*_ratios(seed, 1e-3), planned=PLANNED, used=PLANNED)[1] for seed in (1, 2, 3)]
    one, other = parts[0].merge(parts[1]).merge(parts[2]), parts[2].merge(parts[0]).merge(parts[1])
    assert one == other
    rho, mask = (torch.cat(tensors) for tensors in zip(*(_ratios(seed, 1e-3) for seed in (1, 2, 3)), strict=True))
    assert one == count_outside(rho, mask, planned=PLANNED, used=PLANNED)[1]


def test_the_bounds_stay_without_a_share_without_a_step_before_and_where_nothing_moved() -> None:
    still = count_outside(torch.zeros(2, 3), torch.ones(2, 3).bool(), planned=PLANNED, used=PLANNED)[1]
    moved = count_outside(*_ratios(1, 0.1), planned=PLANNED, used=PLANNED)[1]
    assert bounds_scale(0.0, moved) == 1.0
    assert bounds_scale(0.1, None) == bounds_scale(0.1, InnovationHistogram()) == bounds_scale(0.1, still) == 1.0
    assert bounds_scale(0.1, moved) > 1.0


def test_ratios_that_are_no_numbers_are_left_out() -> None:
    rho = torch.tensor([[math.nan, math.inf, -math.inf, 1.0, 0.0]])
    outside, excess = count_outside(rho, torch.ones(1, 5).bool(), planned=PLANNED, used=PLANNED)
    assert (outside, excess.tokens) == (1, 2)
