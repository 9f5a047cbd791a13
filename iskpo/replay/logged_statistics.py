"""Does a trace give back what its trial logged? The statistics of a step, computed from the trace alone.

A complete trace holds every log ratio that the loss saw, with its place in the batch. So the loss's own filter and
summary run on the same micro-batches, and these are merged in the same order as then: on the same kind of device the
numbers are equal to the last bit, and between a GPU and a CPU to the rounding of float32. Of a loss without a filter
the mean log ratio alone can be compared.
"""

import numpy as np
import numpy.typing as npt
import torch

from iskpo.batch_threshold import settings_after
from iskpo.filter import filter_with
from iskpo.innovation_moments import Floats, merge_updates, moments_by_class, update_metrics
from iskpo.innovations import InnovationSummary
from iskpo.replay.traces import Traces
from iskpo.settings import BATCH, FilterSettings

# The divergence of the policy from the old one as every loss reports it: the negative mean log ratio.
DIVERGENCE = "actor/ppo_kl"


def statistics_of_steps(traces: Traces, *, settings: FilterSettings | None) -> dict[int, dict[str, float]]:
    """Metrics of each training step, named as the trial logged them, from a complete trace.

    Args:
        traces: Of one trial; steps of which sequences were left out are left out here too.
        settings: The trial's; None where its loss has no filter.

    Returns:
        Step to metrics: those of `InnovationSummary.as_metrics` and, where the traces have ``old_log_prob``, of
        `iskpo.innovation_moments.update_metrics`; without a filter `DIVERGENCE` alone.
    """
    columns = traces.columns
    kept = np.bincount(columns["step"])
    found: dict[int, dict[str, float]] = {}
    before: InnovationSummary | None = None
    for step in np.unique(columns["step"]).tolist():
        of_step = np.flatnonzero(columns["step"] == step)
        if columns["step_sequences"][of_step[0]] != kept[step]:
            if settings is not None and settings.estimator in BATCH:
                # The steps after it cannot be known.
                break
            continue
        current = None if settings is None else settings_after(settings, before)
        log_ratio_sum, tokens = 0.0, 0
        total, by_update = InnovationSummary.empty(), dict[int, Floats]()
        for rank in np.unique(columns["rank"][of_step]):
            of_rank = of_step[columns["rank"][of_step] == rank]
            places = np.stack([columns["update"][of_rank], columns["micro_batch"][of_rank]], 1)
            # As `iskpo.verl.recorder` does: micro-batches within a rank, then ranks.
            local, of_updates, local_sum = InnovationSummary.empty(), dict[int, Floats](), 0.0
            for place in np.unique(places, axis=0):
                batch = of_rank[(places == place).all(1)].tolist()
                z, mask = _micro_batch(traces, traces.z, batch)
                if current is None:
                    local_sum += float(z.sum(dtype=torch.float64))
                    tokens += int(mask.sum())
                    continue
                old = None if traces.old_log_prob is None else _micro_batch(traces, traces.old_log_prob, batch)[0]
                filtered = filter_with(current, z, mask, old)
                local = local.merge(InnovationSummary.from_filter(filtered, mask))
                if old is not None:
                    moments = moments_by_class(filtered, mask, old)
                    of_updates = merge_updates(of_updates, {int(place[0]): moments})
            total, by_update = total.merge(local), merge_updates(by_update, of_updates)
            log_ratio_sum += local_sum
        found[step] = (
            {DIVERGENCE: -log_ratio_sum / tokens} if current is None else total.as_metrics() | update_metrics(by_update)
        )
        before = total
    return found


def _micro_batch(
    traces: Traces, values: npt.NDArray[np.float32], batch: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of the tokens of one micro-batch with its padding, in its order, and their mask."""
    columns = traces.columns
    found = torch.full((int(columns["rows"][batch[0]]), int(columns["width"][batch[0]])), torch.nan)
    for index in batch:
        sequence = values[traces.offsets[index] : traces.offsets[index + 1]]
        found[columns["row"][index], : len(sequence)] = torch.tensor(sequence)
    mask = ~found.isnan()
    return torch.where(mask, found, 0), mask
