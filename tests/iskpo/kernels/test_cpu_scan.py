"""What the CPU's kernels add to the recurrence: tiles, packed rows, streamed results, memory used again."""

import gc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from iskpo import filter_log_ratios
from iskpo.kernels.packing import count_observed, pack, unpack
from iskpo.kernels.page_reuse import empty

PARAMETERS = {"q": 1e-4, "v": 1e-2, "kappa": 1.5}


def _mask(kind: str, rows: int, tokens: int, generator: np.random.Generator) -> np.ndarray:
    position, length = np.arange(tokens), generator.integers(0, tokens + 1, (rows, 1))
    masks = {
        "full": np.ones((rows, tokens), bool),
        "right padding": position < length,
        "left padding": position >= length,
        "holes": generator.random((rows, tokens)) < 0.8,
        "few": generator.random((rows, tokens)) < 0.02,
    }
    masks["mixed"] = np.where(generator.random((rows, 1)) < 0.5, masks["holes"], masks["right padding"])
    return masks[kind]


def _both_ways(z: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    z = z.detach().requires_grad_()
    result = filter_log_ratios(z, mask, gradient="through", **PARAMETERS)
    # A gradient whose padding is not finite, as a loss may leave it there.
    gradient = torch.where(mask, torch.linspace(-1, 1, z.shape[1], dtype=z.dtype), torch.nan)
    (grad_z,) = torch.autograd.grad(result.rho, z, gradient)
    return result.rho.detach(), result.innovation, result.clipped, grad_z


@pytest.mark.parametrize("kind", ["full", "right padding", "left padding", "holes", "few", "mixed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tokens", [1, 63, 64, 200, 333])
def test_a_row_is_filtered_alike_alone_and_among_others(kind: str, dtype: torch.dtype, tokens: int) -> None:
    generator = np.random.default_rng(tokens)
    z = torch.from_numpy(generator.standard_t(3, (37, tokens)) * 0.05).to(dtype)
    mask = torch.from_numpy(_mask(kind, 37, tokens, generator))
    together = _both_ways(z, mask)
    for row in range(len(z)):
        for found, alone in zip(together, _both_ways(z[row : row + 1], mask[row : row + 1]), strict=True):
            assert torch.equal(found[row], alone[0])


@pytest.mark.parametrize("kind", ["full", "holes", "left padding"])
def test_streamed_results_are_those_of_small_batches(kind: str) -> None:
    generator = np.random.default_rng(0)
    z = torch.from_numpy(generator.standard_normal((160, 16384)).astype(np.float32))
    mask = torch.from_numpy(_mask(kind, *z.shape, generator))
    streamed = _both_ways(z, mask)
    for row in range(0, len(z), 40):
        some = slice(row, row + 5)
        for found, small in zip(streamed, _both_ways(z[some], mask[some]), strict=True):
            assert torch.equal(found[some], small)


def test_float32_is_consistent_with_what_it_returns() -> None:
    generator = np.random.default_rng(1)
    z = torch.from_numpy(generator.standard_t(2, (9, 500)).astype(np.float32))
    result = filter_log_ratios(z, torch.ones_like(z), **PARAMETERS)
    before = torch.nn.functional.pad(result.rho[:, :-1], (1, 0))
    assert torch.equal(result.innovation, z - before)
    threshold = (PARAMETERS["kappa"] * result.sigma.double()).float()
    near = (result.innovation.abs() - threshold).abs() <= 2e-7 * threshold
    assert torch.equal(result.clipped | near, (result.innovation.abs() > threshold) | near)
    assert 0 < int(result.clipped.sum()) < z.numel()


@pytest.mark.parametrize("position", [0, 7, 63, 64, 130, 199])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_value_that_is_not_finite_is_found_wherever_it_stands(position: int, bad: float) -> None:
    z, mask = torch.zeros(20, 200), torch.ones(20, 200, dtype=torch.bool)
    mask[:, 100] = False
    z[13, position] = bad
    with pytest.raises(ValueError, match=f"row 13, token {position} "):
        filter_log_ratios(z, mask, **PARAMETERS)
    mask[13, position] = False
    assert filter_log_ratios(z, mask, **PARAMETERS).rho.isfinite().all()


@settings(deadline=None)  # the first example of a type waits for the compiler
@given(st.lists(st.booleans(), max_size=90), st.sampled_from([np.float32, np.float64, np.bool_]))
def test_packing_and_back(observed: list[bool], dtype: type) -> None:
    mask = np.array(observed, dtype=bool)
    values = (np.arange(1, len(mask) + 1) % (2 if dtype is np.bool_ else 1000)).astype(dtype)
    packed, back = np.empty(len(mask) + 8, dtype), np.ones(len(mask), dtype)
    pack(values, mask, packed)
    assert count_observed(mask) == mask.sum()
    np.testing.assert_array_equal(packed[: mask.sum()], values[mask])
    unpack(packed, mask, back, False)
    np.testing.assert_array_equal(back, np.where(mask, values, 0))


@pytest.mark.parametrize("length", [31, 32, 8159, 8160, 8161, 20_000])
def test_count_of_long_rows(length: int) -> None:
    assert count_observed(np.ones(length, bool)) == length


def test_memory_is_used_again_only_when_nobody_holds_it() -> None:
    shape = (3, 400_000)  # a size of its own, so that what other tests freed does not fit
    first = empty(shape, dtype=torch.float32)
    other = empty(shape, dtype=torch.float32)
    assert first.data_ptr() % 64 == 0
    view = first[1:]
    first.fill_(1)
    place = other.data_ptr()
    del first, other
    gc.collect()
    # `view` still holds the first piece: only the other one may come back, at another offset in its first pages.
    again = empty(shape, dtype=torch.float32).fill_(2)
    assert (view == 1).all()
    assert abs(again.data_ptr() - place) < 1 << 13
