"""The published float32 formula breaks where it was measured to break, and nowhere is that hidden.

Recipe of the measurement: z = 0.05 x student-t with 3 degrees of freedom, V = 1, float32, no clipping. "Wrong" means an
error above 1 % of the largest |rho|. Its random draw is not known, so departures may differ by a few tokens.
"""

import numpy as np
import pytest
import torch

from iskpo import filter_log_ratios, gain_table
from iskpo.published.public_numerics import public_gain_table


def _departure(q: float, width: int) -> tuple[int | None, int | None, float, float]:
    """First wrong and first non-finite token, largest error before that, largest |rho|."""
    z = torch.from_numpy(0.05 * np.random.default_rng(0).standard_t(3, (8, width))).float()
    mask = torch.ones(z.shape)
    exact = filter_log_ratios(z.double(), mask, q=q, v=1.0).rho
    public = filter_log_ratios(z, mask, q=q, v=1.0, numerics="public-cumsum-fp32").rho.double()
    broken = (~public.isfinite()).any(0).nonzero()
    end = int(broken[0]) if len(broken) else None
    error, scale = (public - exact)[:, :end].abs(), float(exact.abs().max())
    wrong = (error > 0.01 * scale).any(0).nonzero()
    return (int(wrong[0]) if len(wrong) else None), end, float(error.max()), scale


@pytest.mark.parametrize(
    ("q", "width", "wrong", "nan"),
    [
        (1e-6, 512, None, None),
        (1e-6, 1024, None, None),
        (1e-4, 512, None, None),
        (1e-4, 1024, None, None),
        (1e-4, 4096, None, None),
        (1e-3, 512, None, None),
        (1e-3, 1024, None, None),
        (1e-3, 4096, 2208, 2718),
        (1e-2, 512, None, None),
        (1e-2, 1024, 697, 871),
        (1e-2, 4096, 698, 871),
        (5e-2, 512, 312, 394),
        (5e-2, 1024, 312, 394),
        (5e-2, 4096, 312, 394),
    ],
)
def test_departure_and_nan_come_where_they_were_measured(
    q: float, width: int, wrong: int | None, nan: int | None
) -> None:
    found_wrong, found_nan, _, _ = _departure(q, width)
    assert found_nan == nan
    assert found_wrong == (None if wrong is None else pytest.approx(wrong, abs=3))


def test_error_at_strong_smoothing_has_the_measured_size() -> None:
    _, _, error, _ = _departure(1e-6, 512)
    assert 1e-6 < error < 1e-5  # measured: 4e-6
    wrong, nan, error, scale = _departure(1e-6, 4096)
    assert nan is None
    assert 3e-5 < error < 2e-4  # measured: 7e-5
    assert 3e-3 < scale < 1e-2  # measured: 6e-3
    assert wrong is not None
    assert 1400 < wrong < 2400  # measured: 1705


def test_short_rows_agree_with_the_exact_filter_for_any_mask_and_start() -> None:
    generator = torch.Generator().manual_seed(1)
    z = 0.05 * torch.randn(6, 64, generator=generator)
    mask = torch.rand(z.shape, generator=generator) < 0.6
    for arguments in ({"p0": 0.0, "rho0": 0.0}, {"p0": 0.5, "rho0": 0.2}):
        results = [
            filter_log_ratios(z, mask, q=1e-2, v=1.0, numerics=name, **arguments)
            for name in ("exact", "public-cumsum-fp32")
        ]
        for name in ("rho", "innovation", "gain", "sigma"):
            torch.testing.assert_close(getattr(results[0], name), getattr(results[1], name), rtol=1e-4, atol=1e-6)
        assert not results[1].clipped.any()


def test_gain_becomes_nan_where_the_hyperbolic_sine_overflows() -> None:
    table = public_gain_table(q=1e-2, v=1.0, length=900)
    assert table.dtype == torch.float32
    assert table[:871].isfinite().all()
    assert table[871:].isnan().all()
    np.testing.assert_allclose(table[:871].numpy(), gain_table(q=1e-2, v=1.0, length=871), rtol=1e-4)


@pytest.mark.parametrize(("q", "nan"), [(1e-13, False), (2e-12, True), (1e-8, True), (1.1e-7, True), (1.2e-7, False)])
def test_gain_is_nan_from_the_start_where_q_vanishes_beside_1_in_float32(q: float, nan: bool) -> None:
    table = public_gain_table(q=q, v=1.0, length=3)
    assert (table.isnan().all() if nan else table.isfinite().all()).item()


def test_gain_has_a_floor_that_the_exact_one_lies_below_at_small_q() -> None:
    table = public_gain_table(q=3e-7, v=1.0, length=3)
    assert table[0].item() == np.float32(1e-6)
    assert gain_table(q=3e-7, v=1.0, length=3)[0] < 0.4e-6


def test_ratio_alone_decides_where_it_breaks() -> None:
    z, mask = 0.05 * torch.ones(1, 1000), torch.ones(1, 1000)
    rho = filter_log_ratios(z, mask, q=1e-4, v=1e-2, numerics="public-cumsum-fp32").rho
    assert int((~rho.isfinite()).nonzero()[0, 1]) == 871
