"""DAPO's dynamic sampling, so that equal seeds train on equal prompts.

verl takes the first groups that vLLM has finished, in the order of a set of strings, and how many prompts a step has
drawn by then depends on how fast they were answered: the next step begins elsewhere in the data. Here prompts are drawn
in rounds. Nothing is decided before every prompt of a round is answered; then those whose samples all got the same
reward go, the first of the others make the batch, and if they are too few another round is drawn.
"""

from typing import Any

from typing_extensions import override
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, _accumulate_eviction_metrics

# Batches of prompts that a step draws at most: where fewer than one in so many is of use there is nothing to train on.
_MOST_BATCHES = 50


class RoundsReplayBuffer(ReplayBuffer):
    """verl's replay buffer, with dynamic sampling in rounds; without that it is verl's."""

    @override
    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[Any, dict[str, Any]]:
        """A batch of prompts' samples, once it is complete, and verl's metrics of what was left out.

        Raises:
            RuntimeError: Of many batches of prompts hardly any got rewards that differ.
        """
        if partition_id == "val" or self.filter_groups_metric is None:
            batch: tuple[Any, dict[str, Any]] = super().sample(global_steps, partition_id, batch_size)
            return batch
        metrics: dict[str, Any] = {}
        drawn = batch_size
        while True:
            self._wait_for_answers(partition_id)
            reasons = self._terminal_eviction_reasons(global_steps, partition_id)
            _, stale, _, found = self._evict_terminal_groups(global_steps, partition_id, reasons)
            if found:
                _accumulate_eviction_metrics(metrics, found, stale)
            # Prompts are named in the order in which they were drawn.
            kept = sorted(self._sampleable_terminal_keys(partition_id, reasons))
            if len(kept) >= batch_size:
                break
            if drawn > _MOST_BATCHES * batch_size:
                raise RuntimeError(
                    f"dynamic sampling drew {drawn} prompts and found {len(kept)} of {batch_size} whose samples do not "
                    "all get the same reward"
                )
            # As many as verl draws: about half are expected to go again.
            more = min(batch_size, 2 * (batch_size - len(kept)))
            self.refill_fn(more)
            drawn += more
        if surplus := kept[batch_size:]:
            self._clear_groups(partition_id, set(surplus))
            metrics["training/filter_groups/discarded_surplus_samples"] = len(surplus)
        snapshot = dict(self.partitions[partition_id])
        return self._materialize_batch(partition_id, kept[:batch_size], snapshot), metrics

    def _wait_for_answers(self, partition_id: str) -> None:
        last = 0.0
        self._sync_metadata_from_transfer_queue()
        while self.pending_keys[partition_id] or self.running_keys[partition_id]:
            last = self._wait_for_next_poll(partition_id, last)
            self._sync_metadata_from_transfer_queue()
