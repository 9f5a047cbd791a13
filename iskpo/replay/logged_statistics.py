"""Does a trace give back what its trial logged? The statistics of a step, computed from the trace alone.

A complete trace holds every log ratio that the loss saw, with its place in the batch. So the loss's own filter and
summary run on the same micro-batches, and these are merged in the same order as then: on the same kind of device the
numbers are equal to the last bit, and between a GPU and a CPU to the rounding of float32.
"""

import numpy as np
import torch

from iskpo.batch_threshold import settings_after
from iskpo.filter import filter_with
from iskpo.innovations import InnovationSummary
from iskpo.replay.traces import Traces
from iskpo.settings import BATCH, FilterSettings


def statistics_of_steps(traces: Traces, *, settings: FilterSettings) -> dict[int, dict[str, float]]:
    """Metrics of each training step, named as the trial logged them, from a complete trace.

    Args:
        traces: Of one trial; steps of which sequences were left out are left out here too.
        settings: The trial's.

    Returns:
        Step to metrics, those of `InnovationSummary.as_metrics`.
    """
    columns = traces.columns
    kept = np.bincount(columns["step"])
    found: dict[int, dict[str, float]] = {}
    before: InnovationSummary | None = None
    for step in np.unique(columns["step"]).tolist():
        of_step = np.flatnonzero(columns["step"] == step)
        if columns["step_sequences"][of_step[0]] != kept[step]:
            if settings.estimator in BATCH:
                # The steps after it cannot be known.
                break
            continue
        current = settings_after(settings, before)
        total = InnovationSummary.empty()
        for rank in np.unique(columns["rank"][of_step]):
            of_rank = of_step[columns["rank"][of_step] == rank]
            places = np.stack([columns["update"][of_rank], columns["micro_batch"][of_rank]], 1)
            # As `iskpo.verl.recorder` does: micro-batches within a rank, then ranks.
            local = InnovationSummary.empty()
            for place in np.unique(places, axis=0):
                batch = of_rank[(places == place).all(1)]
                z, mask = _micro_batch(traces, batch.tolist())
                local = local.merge(InnovationSummary.from_filter(filter_with(current, z, mask), mask))
            total = total.merge(local)
        found[step] = total.as_metrics()
        before = total
    return found


def _micro_batch(traces: Traces, batch: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Log ratios and mask of one micro-batch with its padding, in its order."""
    columns = traces.columns
    z = torch.full((int(columns["rows"][batch[0]]), int(columns["width"][batch[0]])), torch.nan)
    for index in batch:
        sequence = traces.sequence(index)
        z[columns["row"][index], : len(sequence)] = torch.tensor(sequence)
    mask = ~z.isnan()
    return torch.where(mask, z, 0), mask
