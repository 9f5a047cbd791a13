"""The comparison of both numerics finds what was measured, and what the public formula's guards let through."""

import numpy as np
import pytest

from iskpo.published.departure import TOLERANCE, public_departure


@pytest.mark.parametrize(
    ("q", "length", "wrong", "nan"),
    [
        (1e-6, 1024, None, None),
        (1e-4, 4096, None, None),
        (1e-3, 4096, 2208, 2718),
        (1e-2, 512, None, None),
        (1e-2, 1024, 697, 871),
        (5e-2, 512, 312, 394),
    ],
)
def test_the_measured_table_comes_out(q: float, length: int, wrong: int | None, nan: int | None) -> None:
    found = public_departure(q=q, v=1.0, length=length)
    assert found.first_nonfinite == nan
    assert found.first_wrong == (None if wrong is None else pytest.approx(wrong, abs=3))


@pytest.mark.parametrize(("q", "wrong", "nan"), [(0.0, 0, None), (1e-13, 0, None), (1e-8, None, 0), (1.1e-7, None, 0)])
def test_tiny_ratios_are_wrong_or_nan_from_the_first_token(q: float, wrong: int | None, nan: int | None) -> None:
    found = public_departure(q=q, v=1.0, length=50)
    assert (found.first_wrong, found.first_nonfinite) == (wrong, nan)


@pytest.mark.parametrize("scale", [1e-4, 10.0])
def test_the_scale_of_the_log_ratios_does_not_matter(scale: float) -> None:
    found = public_departure(q=1e-2, v=1.0, length=900, scale=scale)
    assert found.first_nonfinite == 871
    assert found.first_wrong == pytest.approx(697, abs=3)
    np.testing.assert_allclose(
        found.error[:871], public_departure(q=1e-2, v=1.0, length=900).error[:871], rtol=0.05, atol=1e-6
    )


def test_error_is_what_tells_the_first_wrong_token() -> None:
    found = public_departure(q=1e-2, v=1.0, length=900, seed=3)
    assert found.first_wrong is not None
    assert found.error[found.first_wrong] > TOLERANCE >= found.error[: found.first_wrong].max()
    first = np.abs(found.public_rho - found.exact_rho)[:871] / found.scale
    assert (first <= found.error[:871]).all()


def test_selected_tokens_hold_both_ends_and_what_happens() -> None:
    found = public_departure(q=1e-2, v=1.0, length=1024)
    assert found.selected_tokens() == [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, found.first_wrong, 871, 1000, 1023]
    assert public_departure(q=1e-2, v=1.0, length=1).selected_tokens() == [0]
