"""Dynamic sampling in rounds: which prompts are trained on follows from the answers, not from who answers first.

TransferQueue's part, which needs processes, is a dictionary here; the end-to-end run of the arm dapo has the real one.
"""

import random
from typing import Any

import pytest

from iskpo.verl.dynamic_sampling import RoundsReplayBuffer


class _Buffer(RoundsReplayBuffer):
    """Prompts 0, 1, 2, ... of which some have samples with rewards that differ; answered a few at a time, at random."""

    def __init__(self, *, useful: set[int], order: int) -> None:
        self.drawn, self.useful, self.random = 0, useful, random.Random(order)
        self.cleared: set[str] = set()
        super().__init__(
            trainer_mode="sync",
            trainer_config=None,
            max_off_policy_threshold=None,
            max_off_policy_strategy="drop",
            sampler_kwargs=None,
            poll_interval=0.0,
            refill_fn=self.draw,
            filter_groups_metric="reward",
            train_batch_size=4,
            gen_batch_size=1,
        )

    def draw(self, count: int) -> None:
        names = [f"{number:09d}" for number in range(self.drawn, self.drawn + count)]
        self.drawn += count
        # As verl's buffer does with what TransferQueue tells it, in any order.
        self.random.shuffle(names)
        self.running_keys["train"].update(names)

    def _sync_metadata_from_transfer_queue(self) -> None:
        running = sorted(self.running_keys["train"])
        self.random.shuffle(running)
        for name in running[: self.random.randrange(1, 4)]:
            self.running_keys["train"].discard(name)
            self.finished_keys["train"].add(name)
            self.partitions["train"] |= {f"{name}_{sample}_0": {} for sample in range(2)}
            same = None if int(name) in self.useful else 1.0
            self._dapo_classification_cache["train"][name] = same

    def _clear_groups(self, partition_id: str, uids: set[str]) -> None:
        self.cleared |= uids
        self.finished_keys[partition_id] -= uids
        self.partitions[partition_id] = {
            key: tag for key, tag in self.partitions[partition_id].items() if key.split("_")[0] not in uids
        }

    def _materialize_batch(self, partition_id: str, uids: list[str], snapshot: dict[str, Any]) -> Any:
        self._clear_groups(partition_id, set(uids))
        return [int(uid) for uid in uids]


@pytest.mark.parametrize("useful", [{0, 1, 2, 3}, {1, 5, 6, 7, 8, 9}, set(range(1, 40, 3)), {30, 31, 32, 33}])
def test_equal_answers_give_equal_prompts_in_whatever_order_they_come(useful: set[int]) -> None:
    outcomes = set()
    for order in range(20):
        buffer = _Buffer(useful=useful, order=order)
        buffer.draw(4)
        chosen, metrics = buffer.sample(1, "train", 4)
        assert chosen == sorted(useful)[:4]
        # Nothing is left for the next step, which begins with the next prompt of the data.
        assert not buffer.finished_keys["train"]
        assert not buffer.running_keys["train"]
        evicted = metrics.get("training/filter_groups/evicted_samples", 0)
        assert evicted == len(set(range(buffer.drawn)) - useful)
        outcomes.add((tuple(chosen), buffer.drawn, metrics.get("training/filter_groups/discarded_surplus_samples", 0)))
    assert len(outcomes) == 1


def test_prompts_that_teach_nothing_end_the_trial_with_the_reason() -> None:
    buffer = _Buffer(useful={0, 1, 2}, order=0)
    buffer.draw(4)
    with pytest.raises(RuntimeError, match="dynamic sampling drew 202 prompts and found 3 of 4 whose samples"):
        buffer.sample(1, "train", 4)
