r"""The recurrences of the filter and of its gradient on the CPU: sixteen rows at once, in one pass over memory.

The recurrence is sequential in tokens and independent across rows, so rows are the lanes of vector instructions. Lanes
advance by *observed* tokens: a row with holes is packed first and its results are unpacked, and the others begin at
their first observed token. So gain and threshold are the same for all lanes, and what is not observed is never computed
with. Rows of similar length share their tiles.

In float32 the innovation is z_t - rho_{t-1} of the rho that is returned, and `clipped` is that innovation against the
threshold: exactly the decision that was taken. What rounding took from rho is carried to the next token, so a small
gain loses nothing. The gradient's state is float64.

Compiled by numba when first used, and imported only for tensors on a CPU.
"""

import math

import torch
from numba import get_num_threads, njit, prange
from torch import Tensor

from iskpo.kernels.adjoint_kernel import adjoint_rows
from iskpo.kernels.filter_kernel import filter_rows
from iskpo.kernels.lanes import STEPS
from iskpo.kernels.page_reuse import empty
from iskpo.kernels.recurrence import Filtered
from iskpo.kernels.threads import threads_of_torch

_STREAMED = 1 << 24
"""Bytes of results from which they would not stay in a processor's cache, and are written past it."""


def saturated_filter(z: Tensor, observed: Tensor, *, gain: Tensor, threshold: Tensor | None, rho0: float) -> Filtered:
    """Run the filter along each row.

    Args:
        z: Measurements, (B, T), float32 or float64.
        observed: True on observed tokens, (B, T); the others carry the state and do not advance the count.
        gain: Gains by the number of tokens observed so far, (T + 1,) float64; entry 0 is not used.
        threshold: Clipping thresholds, indexed alike, or None for no clipping.
        rho0: State before the first token.

    Returns:
        What `iskpo.kernels.recurrence` says.
    """
    z, observed = z.detach().contiguous(), observed.contiguous()
    rho, innovation, clipped = (empty(z.shape, dtype=dtype) for dtype in (z.dtype, z.dtype, torch.bool))
    limit = torch.full_like(gain, math.inf) if threshold is None else threshold
    # The last tile may be begun with one token left; what it does with entries after the table's end is not used.
    tables = (torch.nn.functional.pad(table[1:], (0, STEPS)).to(z.dtype) for table in (gain, limit))
    with threads_of_torch():
        arrays = [x.numpy() for x in (z, observed, *tables, rho, innovation, clipped)]
        finite = filter_rows(*arrays, rho0, _streams(rho, innovation, clipped), get_num_threads())
    return Filtered(rho, clipped, innovation=lambda: innovation, finite=lambda: bool(finite.all()))


def filter_adjoint(grad_rho: Tensor, observed: Tensor, clipped: Tensor, *, gain: Tensor, counts: None = None) -> Tensor:
    r"""Gradient by z from the gradient g by rho: :math:`w_t\lambda_t`, over observed tokens, with

    .. math:: \lambda_t = g_t + (1 - w_{t+1}) \lambda_{t+1}, \quad w_t = K_t \text{ or } 0 \text{ where clipped}.

    Args:
        grad_rho: g, (B, T), float32 or float64; what stands where nothing is observed has no effect.
        observed: As the filter was given it, (B, T).
        clipped: As the filter returned it, (B, T).
        gain: As the filter was given it, (T + 1,) float64.
        counts: As the filter returned it.

    Returns:
        (B, T) of g's type; 0 where not observed.
    """
    tensors = [x.contiguous() for x in (grad_rho.detach(), observed, clipped)]
    grad_z = empty(grad_rho.shape, dtype=grad_rho.dtype)
    table = torch.nn.functional.pad(gain[1:], (0, STEPS))
    with threads_of_torch():
        adjoint_rows(*(x.numpy() for x in (*tensors, table, grad_z)), _streams(grad_z), get_num_threads())
    return grad_z


def spread_tables(observed: Tensor, *, tables: Tensor) -> Tensor:
    """Entries of tables for every token, by the number of tokens observed so far.

    Args:
        observed: (B, T) bool.
        tables: (N, T + 1).

    Returns:
        (N, B, T) of the tables' type; 0 where not observed.
    """
    observed = observed.contiguous()
    spread = empty((len(tables), *observed.shape), dtype=tables.dtype)
    with threads_of_torch():
        _spread(observed.numpy(), tables.numpy(), spread.numpy())
    return spread


def _streams(*results: Tensor) -> bool:
    return sum(result.nbytes for result in results) >= _STREAMED


@njit(parallel=True, cache=True)
def _spread(observed, tables, spread):  # type: ignore[no-untyped-def]
    number, rows, tokens = spread.shape
    for row in prange(rows):
        for table in range(number):
            count = 0
            for token in range(tokens):
                seen = observed[row, token]
                count += seen
                spread[table, row, token] = tables[table, count] if seen else 0
