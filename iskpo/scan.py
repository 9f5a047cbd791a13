r"""The recurrences of the filter and of its gradient, for all rows at once and in about sqrt(T) steps.

A row of T tokens is cut into chunks that run side by side; only the value at the start of each chunk links them. In

.. math:: \rho_t = \rho_{t-1} + K_t \mathrm{clip}(z_t - \rho_{t-1}, \pm c_t)

the end of a chunk is a piecewise linear function of its start, with slope :math:`\prod (1 - K_t)` over the tokens that
are not clipped. So: guess the starts, run every chunk, correct all starts with those slopes, repeat (Newton's method).
Starts that reproduce themselves give the exact trajectory. Without clipping the function is linear and the second run
is final. With it the number of runs depends on the data; it is capped, and then every row is run as one chunk, token by
token.

The arithmetic is float64 whatever the type of the result: 1 - K would lose digits of a small gain in float32, and a
clipping decision must not depend on how the row was cut.
"""

import math

import torch
from torch import Tensor

# One chunk per row up to here: the loop over tokens is then as quick as several runs over chunks.
_SEQUENTIAL_TOKENS = 256
_MAX_RUNS = 20
# Starts agree when they differ by less than this share of the row's largest |rho|: rounding of the correction itself.
_TOLERANCE = 1e-14


def saturated_scan(z: Tensor, gain: Tensor, threshold: Tensor | None, rho0: float) -> tuple[Tensor, Tensor]:
    """Run the filter.

    Args:
        z: Measurements, (B, T) float64, finite.
        gain: Gains, (B, T) float64; 0 where the state is only carried.
        threshold: Clipping thresholds, (B, T) float64, or None for no clipping.
        rho0: State before the first token.

    Returns:
        The state after each token and the unclipped innovation z_t - rho_{t-1}, both (B, T) float64.
    """
    if z.numel() == 0:
        return z, z
    tokens = z.shape[1]
    result = None
    if tokens > _SEQUENTIAL_TOKENS:
        result = _run_until_settled(*_all_to_chunks(z, gain, threshold, _chunk_count(tokens)), rho0)
    if result is None:
        z, gain, bound = _all_to_chunks(z, gain, threshold, 1)
        result = _run(z, gain, bound, torch.full_like(z[0], rho0))
    rho, innovation = result
    return _from_chunks(rho, tokens), _from_chunks(innovation, tokens)


def reverse_scan(gradient: Tensor, carry: Tensor) -> Tensor:
    r"""Solve :math:`\lambda_t = g_t + a_{t+1} \lambda_{t+1}` from the last token to the first.

    Args:
        gradient: g, (B, T) float64.
        carry: a, (B, T) float64: how much of rho_{t-1} is left in rho_t.

    Returns:
        lambda, (B, T) float64.
    """
    if gradient.numel() == 0:
        return gradient
    tokens = gradient.shape[1]
    count = _chunk_count(tokens)
    # Reversed in time, lambda_t = g_t + a_{t+1} lambda_{t+1} is a forward recurrence whose factor is one step behind.
    factor = torch.zeros_like(carry)
    factor[:, 1:] = carry.flip(1)[:, :-1]
    factor = _to_chunks(factor, count)
    added = _to_chunks(gradient.flip(1), count)
    starts = torch.zeros_like(added[0])
    result = _run_affine(added, factor, starts)
    if count > 1:
        starts = _propagate(starts, result[-1], factor.prod(0))
        result = _run_affine(added, factor, starts)
    return _from_chunks(result, tokens).flip(1)


def _chunk_count(tokens: int) -> int:
    return 1 if tokens <= _SEQUENTIAL_TOKENS else round(math.sqrt(tokens / 2))


def _to_chunks(x: Tensor, count: int) -> Tensor:
    """(B, T) to (L, B, count), the step within a chunk first; padded with zeros, that is gain 0, at the end."""
    length = -(-x.shape[1] // count)
    padded = torch.nn.functional.pad(x, (0, length * count - x.shape[1]))
    return padded.view(x.shape[0], count, length).permute(2, 0, 1).contiguous()


def _from_chunks(x: Tensor, tokens: int) -> Tensor:
    length, rows, count = x.shape
    return x.permute(1, 2, 0).reshape(rows, count * length)[:, :tokens]


def _all_to_chunks(
    z: Tensor, gain: Tensor, threshold: Tensor | None, count: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    bound = None if threshold is None else _to_chunks(threshold, count)
    return _to_chunks(z, count), _to_chunks(gain, count), bound


def _run_until_settled(z: Tensor, gain: Tensor, bound: Tensor | None, rho0: float) -> tuple[Tensor, Tensor] | None:
    """Newton's method on the chunk starts; None if it takes too long."""
    starts = torch.full_like(z[0], rho0)
    for _ in range(_MAX_RUNS):
        rho, innovation = _run(z, gain, bound, starts)
        corrected, settled = _corrected_starts(starts, rho, innovation, gain, bound)
        if bound is None:
            return _run(z, gain, None, corrected)
        if bool(settled):
            return rho, innovation
        starts = corrected
    return None


def _run(z: Tensor, gain: Tensor, bound: Tensor | None, starts: Tensor) -> tuple[Tensor, Tensor]:
    """The filter inside every chunk, from the given starts; (L, B, C) in and out."""
    rho, innovation = torch.empty_like(z), torch.empty_like(z)
    state = starts
    if bound is None:
        for measured, weight, after in zip(z.unbind(), gain.unbind(), rho.unbind(), strict=True):
            state = torch.lerp(state, measured, weight, out=after)
        torch.sub(z[0], starts, out=innovation[0])
        torch.sub(z[1:], rho[:-1], out=innovation[1:])
        return rho, innovation
    steps = (z.unbind(), gain.unbind(), bound.unbind(), bound.neg().unbind(), rho.unbind(), innovation.unbind())
    for measured, weight, high, low, after, residual in zip(*steps, strict=True):
        torch.sub(measured, state, out=residual)
        state = torch.addcmul(state, weight, residual.clamp(low, high), out=after)
    return rho, innovation


def _run_affine(added: Tensor, factor: Tensor, starts: Tensor) -> Tensor:
    result = torch.empty_like(added)
    state = starts
    for term, scale, after in zip(added.unbind(), factor.unbind(), result.unbind(), strict=True):
        state = torch.addcmul(term, scale, state, out=after)
    return result


def _corrected_starts(
    starts: Tensor, rho: Tensor, innovation: Tensor, gain: Tensor, bound: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One Newton step for the chunk starts (B, C), and whether they had settled before it."""
    kept = 1 - gain if bound is None else torch.where(innovation.abs() > bound, 1.0, 1 - gain)
    corrected = _propagate(starts, rho[-1], kept.prod(0))
    scale = rho.abs().amax(dim=(0, 2)).unsqueeze(1)
    return corrected, ((corrected - starts).abs() <= _TOLERANCE * scale).all()


def _propagate(starts: Tensor, ends: Tensor, slopes: Tensor) -> Tensor:
    """Starts that fit the ends of the chunks before them, when an end moves by slope x the move of its start."""
    corrected = [starts[:, 0]]
    for guess, end, slope in zip(starts.unbind(1), ends.unbind(1), slopes.unbind(1), strict=True):
        corrected.append(end + slope * (corrected[-1] - guess))
    return torch.stack(corrected[:-1], dim=1)
