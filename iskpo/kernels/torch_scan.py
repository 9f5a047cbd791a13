r"""The recurrences of the filter and of its gradient, for all rows at once and in about sqrt(T) steps.

A row of T tokens is cut into chunks that run side by side; only the value at the start of each chunk links them. In

.. math:: \rho_t = \rho_{t-1} + K_t \mathrm{clip}(z_t - \rho_{t-1}, \pm c_t)

the end of a chunk is a piecewise linear function of its start, with slope :math:`\prod (1 - K_t)` over the tokens that
are not clipped. So: guess the starts, run every chunk, correct all starts with those slopes, repeat (Newton's method).
Starts that reproduce themselves give the exact trajectory. Without clipping the function is linear and the second run
is final. With it the number of runs depends on the data; it is capped, and then every row is run as one chunk, token by
token.

It serves where no compiled kernel does: on a CPU without numba, and on devices other than CUDA's. The arithmetic is
float64 whatever the type of the result: 1 - K would lose digits of a small gain in float32, and a
clipping decision must not depend on how the row was cut.
"""

import math

import torch
from torch import Tensor

from iskpo.kernels.chunks import from_chunks, propagate, to_chunks
from iskpo.kernels.recurrence import Filtered

# One chunk per row up to here: the loop over tokens is then as quick as several runs over chunks.
_SEQUENTIAL_TOKENS = 128
_MAX_RUNS = 20
# Starts agree when they differ by less than this share of the row's largest start or end, which is what rounding does.
_TOLERANCE = 1e-14


def saturated_filter(z: Tensor, observed: Tensor, *, gain: Tensor, threshold: Tensor | None, rho0: float) -> Filtered:
    """Run the filter along each row; arguments and result as of `iskpo.kernels.cpu_scan`."""
    tokens = z.shape[1]
    if z.numel() == 0:
        return Filtered(torch.empty_like(z), torch.empty_like(observed), lambda: torch.empty_like(z), lambda: True)
    # Not multiplied: a NaN in padding times zero would still be NaN.
    measured = torch.where(observed, z.detach(), 0)
    limits = None if threshold is None else threshold[observed.cumsum(1)]
    weights = _weights(observed, gain)
    count = _chunk_count(tokens)
    run = _Run(measured, weights, limits, count)
    if not run.settle(rho0):
        run = _Run(measured, weights, limits, 1)
        run.settle(rho0)
    rho, innovation = (torch.where(observed, x, 0).to(z.dtype) for x in run.trajectory())
    clipped = torch.zeros_like(observed) if limits is None else from_chunks(run.clipped, tokens) & observed
    return Filtered(
        rho,
        clipped,
        innovation=lambda: innovation,
        finite=lambda: math.isfinite(torch.linalg.vector_norm(innovation, math.inf)),
    )


def filter_adjoint(grad_rho: Tensor, observed: Tensor, clipped: Tensor, *, gain: Tensor, counts: None = None) -> Tensor:
    """Gradient by z from the gradient by rho; arguments and result as of `iskpo.kernels.cpu_scan.filter_adjoint`."""
    if grad_rho.numel() == 0:
        return torch.empty_like(grad_rho)
    tokens = grad_rho.shape[1]
    count = _chunk_count(tokens)
    weight = to_chunks(_weights(observed, gain).masked_fill(clipped, 0), count)
    added = to_chunks(torch.where(observed, grad_rho, 0), count)
    ends = torch.zeros_like(added[0])
    result, starts = _run_reversed(added, weight, ends)
    if count > 1:
        # Reversed, a chunk begins where it ends in time, and the last chunk of the row comes first.
        ends = propagate(ends.flip(1), starts.flip(1), (1 - weight).prod(0).flip(1)).flip(1)
        result, _ = _run_reversed(added, weight, ends)
    return from_chunks(result, tokens).to(grad_rho.dtype)


def _chunk_count(tokens: int) -> int:
    return 1 if tokens <= _SEQUENTIAL_TOKENS else round(math.sqrt(tokens / 2))


def _weights(observed: Tensor, gain: Tensor) -> Tensor:
    """Gain of every token, (B, T); 0 where the state is only carried."""
    return gain[observed.cumsum(1)].mul_(observed)


class _Run:
    """All chunks side by side, (L, B, C) each. The buffers of the trajectory are written anew by every run."""

    def __init__(self, z: Tensor, gain: Tensor, threshold: Tensor | None, count: int) -> None:
        self.tokens, self.count = z.shape[1], count
        self.z, self.gain = to_chunks(z, count), to_chunks(gain, count)
        self.high = None if threshold is None else to_chunks(threshold, count)
        self.rho, self.innovation = torch.empty_like(self.z), torch.empty_like(self.z)
        self.clipped = torch.empty_like(self.z, dtype=torch.bool)

    def trajectory(self) -> tuple[Tensor, Tensor]:
        """rho and innovation, (B, T)."""
        return from_chunks(self.rho, self.tokens), from_chunks(self.innovation, self.tokens)

    def settle(self, rho0: float) -> bool:
        """Find the trajectory by Newton's method on the starts; False if that takes too long."""
        starts = torch.full_like(self.z[0], rho0)
        if self.high is None:
            self._step_all(starts)
            if self.count > 1:
                starts = propagate(starts, self.rho[-1], (1 - self.gain).prod(0))
                self._step_all(starts)
            torch.sub(self.z[0], starts, out=self.innovation[0])
            torch.sub(self.z[1:], self.rho[:-1], out=self.innovation[1:])
            return True
        low = -self.high
        kept = 1 - self.gain if self.count > 1 else None
        for _ in range(_MAX_RUNS):
            slopes = self._step_all_clipped(starts, low, self.high, kept)
            if self.count == 1:
                return True
            corrected = propagate(starts, self.rho[-1], slopes)
            scale = torch.maximum(corrected.abs(), self.rho[-1].abs()).amax(1, keepdim=True)
            if bool(((corrected - starts).abs() <= _TOLERANCE * scale).all()):
                return True
            starts = corrected
        return False

    def _step_all(self, state: Tensor) -> None:
        for measured, weight, after in zip(self.z.unbind(), self.gain.unbind(), self.rho.unbind(), strict=True):
            state = torch.lerp(state, measured, weight, out=after)

    def _step_all_clipped(self, state: Tensor, low: Tensor, high: Tensor, kept: Tensor | None) -> Tensor:
        """Run from the given states; the derivative of each end by its start, (B, C), if `kept` = 1 - gain is given."""
        slopes = torch.ones_like(state)
        columns = (
            self.z,
            self.gain,
            low,
            high,
            self.rho,
            self.innovation,
            self.clipped,
            *([] if kept is None else [kept]),
        )
        for measured, weight, floor, ceiling, after, residual, flag, *keep in zip(
            *(x.unbind() for x in columns), strict=True
        ):
            torch.sub(measured, state, out=residual)
            saturated = residual.clamp(floor, ceiling)
            state = torch.addcmul(state, weight, saturated, out=after)
            torch.ne(residual, saturated, out=flag)
            for share in keep:
                slopes = torch.where(flag, slopes, slopes * share)
        return slopes


def _run_reversed(added: Tensor, weight: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """w lambda of every chunk, (L, B, C), from what reaches its end from later chunks; and what leaves its start."""
    result = torch.empty_like(added)
    message = ends
    for term, share, out in zip(*(reversed(x.unbind()) for x in (added, weight, result)), strict=True):
        adjoint = term + message
        message = adjoint - torch.mul(share, adjoint, out=out)
    return result, message
