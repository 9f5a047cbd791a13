"""Replay with any estimator: one setting at a time, by the filter that trains.

`iskpo.replay.refilter` replays thousands of settings of ``clip`` at once. The others are replayed by what the loss
itself runs, a few sequences at a time, and come back as the same sums. A threshold from the step before has no step
before here: it comes from all recorded log ratios, filtered without clipping.
"""

import math

import numpy as np
import torch

from iskpo.batch_threshold import settings_after
from iskpo.filter import filter_with
from iskpo.innovations import InnovationSummary
from iskpo.replay.refilter import PackedTraces, ReplayResult
from iskpo.settings import BATCH, KPO_BOUNDS, FilterSettings

# Log ratios of a batch, padding included: tens of megabytes.
_BATCH_TOKENS = 2_000_000


def replay_estimator(
    traces: PackedTraces, *, settings: FilterSettings, eps_low: float = KPO_BOUNDS[0], eps_high: float = KPO_BOUNDS[1]
) -> ReplayResult:
    """Filter every recorded sequence under one setting; arguments and result as of `iskpo.replay.refilter.replay`.

    Args:
        traces: What is replayed.
        settings: Of one filter, with any estimator.
        eps_low: The objective's interval of ratios begins at 1 - eps_low; 0 to 1.
        eps_high: It ends at 1 + eps_high.
    """
    if settings.estimator in BATCH:
        settings = settings_after(settings, _unclipped(traces, settings))
    low = math.log1p(-eps_low) if eps_low < 1 else -math.inf
    high = math.log1p(eps_high)
    sums, counts = np.zeros((4, 1)), np.zeros((3, 1), np.int64)
    pairs = 0
    for z, mask, old_log_prob in _batches(traces):
        result = filter_with(settings, z, mask, old_log_prob)
        rho, pair = result.rho.numpy(), mask.numpy()[:, 1:]
        old, new = rho[:, :-1], rho[:, 1:]
        earlier, later = old - settings.rho0, new - settings.rho0
        pairs += int(pair.sum())
        sums[:, 0] += (
            float(result.gain.sum()),
            (earlier + later)[pair].sum(),
            (earlier * earlier + later * later)[pair].sum(),
            ((new - old) ** 2)[pair].sum(),
        )
        counts[:, 0] += (
            int(result.clipped.sum()),
            int((((rho < low) | (rho > high)) & mask.numpy()).sum()),
            int(((old < 0) != (new < 0))[pair].sum()),
        )
    return ReplayResult(traces.tokens, pairs, sums, counts)


def _unclipped(traces: PackedTraces, settings: FilterSettings) -> InnovationSummary:
    """The innovations of the Kalman filter with these Q and V."""
    kalman = FilterSettings(q=settings.q, v=settings.v, p0=settings.p0, rho0=settings.rho0)
    found = InnovationSummary.empty()
    for z, mask, _ in _batches(traces):
        found = found.merge(InnovationSummary.from_filter(filter_with(kalman, z, mask), mask))
    return found


def _batches(traces: PackedTraces) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    """Log ratios in float64, mask and log pi_old, if recorded, (rows, tokens); tiles of like length together.

    Observed tokens come first.
    """
    rows = traces.lengths.size // traces.number
    found = []
    first = 0
    while first < traces.number:
        # The first tile of a batch holds the longest sequence.
        width = int(traces.lengths[first * rows])
        last = min(traces.number, first + max(1, _BATCH_TOKENS // (width * rows)))
        unpacked = []
        for values in (traces.z, traces.old_log_prob):
            if values is None:
                continue
            unpacked.append(np.zeros(((last - first) * rows, width)))
            for tile in range(first, last):
                part = values[traces.starts[tile] : traces.starts[tile + 1]].reshape(-1, rows).T
                unpacked[-1][(tile - first) * rows : (tile - first + 1) * rows, : part.shape[1]] = part
        mask = torch.from_numpy(np.arange(width) < traces.lengths[first * rows : last * rows, None])
        z, *old = map(torch.from_numpy, unpacked)
        found.append((z, mask, old[0] if old else None))
        first = last
    return found
