r"""The CPU's kernels: filter, gradient, alternative estimators and statistics as plain loops over a row's tokens.

Rows run in parallel. All arithmetic is float64, so a small gain loses nothing, and results are rounded to z's type. The
innovation is z_t - rho_{t-1} of the rho that is returned, and `clipped` is that innovation against the threshold.

numba compiles a loop when it is first used and keeps the machine code until this file changes. It does not look at
other files, so a loop may call no function and read no constant of another one; a test checks that.
"""

# numba declares no types.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import get_num_threads, njit, prange, set_num_threads
from torch import Tensor

from iskpo.innovation_histogram import BINS, MULTIPLES, OFFSET, SHIFT
from iskpo.kernels.torch_loop import Filtered
from iskpo.settings import FilterSettings


@contextmanager
def threads_of_torch() -> Iterator[None]:
    """Run numba's kernels on torch's number of threads, which verl and its users set, and leave that number alone.

    numba and torch share one OpenMP, and numba sets its number of threads for good when it first runs a kernel: without
    this, a worker that was given one thread went on with two, and its training took twice as long on two busy cores.
    """
    threads, before = torch.get_num_threads(), get_num_threads()
    set_num_threads(min(before, threads))
    try:
        yield
    finally:
        set_num_threads(before)
        torch.set_num_threads(threads)


def clipping_filter(z: Tensor, observed: Tensor, *, gain: Tensor, threshold: Tensor | None, rho0: float) -> Filtered:
    """Run the filter along each row; arguments and result as of `iskpo.kernels.torch_loop.clipping_filter`."""
    limit = torch.full_like(gain, math.inf) if threshold is None else threshold
    rho, innovation, clipped = (torch.empty(z.shape, dtype=dtype) for dtype in (z.dtype, z.dtype, torch.bool))
    arrays = (x.numpy() for x in (z.detach().contiguous(), observed.contiguous(), gain, limit.to(z.dtype)))
    with threads_of_torch():
        finite = _filter(*arrays, float(rho0), rho.numpy(), innovation.numpy(), clipped.numpy())
    return Filtered(rho, clipped, innovation=lambda: innovation, finite=lambda: bool(finite.all()))


# Contraction is the only part of fastmath that is allowed: a multiplication and an addition share one rounding.
@njit(parallel=True, cache=True, fastmath={"contract"})
def _filter(z, observed, gain, limit, rho0, rho, innovation, clipped):
    finite = np.ones(len(z), np.bool_)
    for row in prange(len(z)):
        state, before, count = rho0, z.dtype.type(rho0), 0
        for token in range(z.shape[1]):
            if observed[row, token]:
                count += 1
                bound = np.float64(limit[count])
                difference = z[row, token] - before
                state += gain[count] * min(max(z[row, token] - state, -bound), bound)
                before = z.dtype.type(state)
                rho[row, token] = before
                innovation[row, token] = difference
                clipped[row, token] = abs(difference) > bound
                finite[row] &= math.isfinite(difference)
            else:
                rho[row, token] = 0
                innovation[row, token] = 0
                clipped[row, token] = False
    return finite


def filter_adjoint(grad_rho: Tensor, observed: Tensor, clipped: Tensor, *, gain: Tensor, counts: None = None) -> Tensor:
    """Gradient by z from the gradient by rho; arguments and result as of `iskpo.kernels.torch_loop.filter_adjoint`."""
    tensors = (x.contiguous().numpy() for x in (grad_rho.detach(), observed, clipped))
    grad_z = torch.empty(grad_rho.shape, dtype=grad_rho.dtype)
    with threads_of_torch():
        _adjoint(*tensors, gain.numpy(), grad_z.numpy())
    return grad_z


@njit(parallel=True, cache=True, fastmath={"contract"})
def _adjoint(grad_rho, observed, clipped, gain, grad_z):
    for row in prange(len(grad_rho)):
        count = observed[row].sum()
        message = 0.0
        for token in range(grad_rho.shape[1] - 1, -1, -1):
            if observed[row, token]:
                weight = 0.0 if clipped[row, token] else gain[count]
                adjoint = grad_rho[row, token] + message
                grad_z[row, token] = weight * adjoint
                message = adjoint - weight * adjoint
                count -= 1
            else:
                grad_z[row, token] = 0


def spread_tables(observed: Tensor, *, tables: Tensor) -> Tensor:
    """Entries of tables (N, T + 1) for every token, (N, B, T), by the number of tokens observed so far; 0 elsewhere."""
    spread = torch.empty((len(tables), *observed.shape), dtype=tables.dtype)
    with threads_of_torch():
        _spread(observed.contiguous().numpy(), tables.numpy(), spread.numpy())
    return spread


@njit(parallel=True, cache=True)
def _spread(observed, tables, spread):
    for row in prange(observed.shape[0]):
        for table in range(len(tables)):
            count = 0
            for token in range(observed.shape[1]):
                seen = observed[row, token]
                count += seen
                spread[table, row, token] = tables[table, count] if seen else 0


def robust_filter(settings: FilterSettings, z: Tensor, observed: Tensor) -> tuple[Tensor, ...]:
    """As `iskpo.kernels.torch_loop.robust_filter`, without a gradient; the numbers come in z's type."""
    results = tuple(torch.zeros_like(z, memory_format=torch.contiguous_format) for _ in range(5))
    clipped = torch.zeros(z.shape, dtype=torch.bool)
    arrays = (x.numpy() for x in (z.contiguous(), observed.contiguous(), *results, clipped))
    kind = (settings.estimator == name for name in ("saturated", "wolf", "inflation", "two_step"))
    numbers = (settings.q, settings.v, settings.kappa, settings.p0, settings.rho0, settings.state_kappa)
    with threads_of_torch():
        _robust(*arrays, *kind, *map(float, numbers))
    return (*results, clipped)


# Division by zero is infinity, as in numpy: an excess that overflows has the weight 0.
@njit(parallel=True, cache=True, error_model="numpy")
def _robust(
    z, observed, rhos, innovations, gains, sigmas, weights, clipped,
    saturated, wolf, inflation, two_step, q, v, kappa, p0, rho0, state_kappa,
):  # fmt: skip
    for row in prange(len(z)):
        rho, variance = rho0, p0
        for token in range(z.shape[1]):
            if not observed[row, token]:
                continue
            predicted = variance + q
            sigma = math.sqrt(predicted + v)
            innovation = z[row, token] - rho
            size = abs(innovation)
            threshold = kappa * (math.sqrt(v) if saturated or two_step or wolf else sigma)
            excess = 1.0
            if wolf:
                excess = 1.0 + (size / kappa) ** 2 / v
            elif size > threshold:
                excess = ((size / kappa) ** 2 - predicted) / v if inflation else size / threshold
            weight = 1.0 / max(excess, 1.0)
            precise = 1.0 if saturated or two_step else weight
            precision = precise * predicted + v
            gain = precise * predicted / precision
            if two_step:
                first = gain * min(max(innovation, -threshold), threshold)
                limit = state_kappa * math.sqrt(predicted)
                second = min(max(innovation - first, -threshold), threshold)
                step = first - (1.0 - gain) * min(max(first, -limit), limit) + gain * second
                weight = step / (gain * innovation) if gain * innovation != 0.0 else 1.0
                rho += step
            else:
                rho += gain * (innovation * weight if saturated else innovation)
            variance = predicted * (v / precision)
            rhos[row, token] = rho
            innovations[row, token] = innovation
            gains[row, token] = gain
            sigmas[row, token] = sigma
            weights[row, token] = weight
            clipped[row, token] = size > threshold


def row_statistics(
    *,
    innovation: npt.NDArray[Any],
    sigma: npt.NDArray[Any],
    gain: npt.NDArray[Any],
    clipped: npt.NDArray[np.bool_],
    observed: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Statistics of every row, and one histogram of all, in one pass over memory instead of one for each of them.

    All arguments are (B, T), and sigma is above 0 where observed.

    Returns:
        (B, 3) counts: observed, clipped, finite innovations; (B, 8) sums: gain, sigma, largest |innovation|, largest
        |innovation| / sigma, mean, and the sums of the second, third and fourth powers of deviations from that mean;
        and the histogram as `iskpo.innovations` counts it.
    """
    # Contiguous, as every memory layout would be compiled anew.
    arrays = [np.ascontiguousarray(array) for array in (innovation, sigma, gain, clipped, observed)]
    rows = len(innovation)
    counts, sums = np.zeros((rows, 3), np.int64), np.zeros((rows, 8))
    with threads_of_torch():
        histograms = np.zeros((get_num_threads(), BINS + len(MULTIPLES)), np.int64)
        _statistics(*arrays, np.array(MULTIPLES), SHIFT, OFFSET, counts, sums, histograms)
    return counts, sums, histograms.sum(0)


# Sums may be taken in any order, which lets them use vector instructions; NaN and infinity keep their meaning.
@njit(parallel=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _statistics(innovation, sigma, gain, clipped, observed, multiples, shift, offset, counts, sums, histograms):
    rows, tokens = innovation.shape
    blocks, bins = len(histograms), histograms.shape[1] - len(multiples)
    for block in prange(blocks):
        histogram = histograms[block]
        for row in range(block * rows // blocks, (block + 1) * rows // blocks):
            seen = cut = finite = 0
            gains = sigmas = total = largest = largest_ratio = 0.0
            for token in range(tokens):
                if not observed[row, token]:
                    continue
                seen += 1
                cut += clipped[row, token]
                scale = np.float64(sigma[row, token])
                gains += gain[row, token]
                sigmas += scale
                value = np.float64(innovation[row, token])
                if not math.isfinite(value):
                    continue
                finite += 1
                total += value
                size = abs(value)
                ratio = size / scale
                largest = max(largest, size)
                largest_ratio = max(largest_ratio, ratio)
                index = (np.float64(ratio).view(np.int64) >> shift) - offset
                histogram[min(max(index, 0), bins - 1)] += 1
                for number in range(len(multiples)):
                    if ratio <= multiples[number]:
                        break
                    histogram[bins + number] += 1
            mean = total / max(finite, 1)
            second = third = fourth = 0.0
            for token in range(tokens):
                value = np.float64(innovation[row, token])
                if observed[row, token] and math.isfinite(value):
                    deviation = value - mean
                    square = deviation * deviation
                    second += square
                    third += square * deviation
                    fourth += square * square
            counts[row] = seen, cut, finite
            sums[row] = gains, sigmas, largest, largest_ratio, mean, second, third, fourth
