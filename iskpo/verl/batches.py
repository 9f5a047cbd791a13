"""A step's batch of samples: its order, its shares for the ranks, and the columns that the policy reads."""

from typing import Any

import transfer_queue
from verl.utils.seqlen_balancing import get_seqlen_balanced_partitions

# Columns of the data, the agent loop and the grader. verl copies a batch to the device several times a step, and what
# is no tensor value by value: a sixth of the time of a small model's update.
_NOT_READ = frozenset(
    {
        "raw_prompt",
        "data_source",
        "ability",
        "reward_model",
        "tools_kwargs",
        "interaction_kwargs",
        "agent_name",
        "uid",
        "metrics",
        "extra_fields",
        "num_turns",
        "mm_processor_kwargs",
        "mm_processor_output",
    }
)


def restore_order(batch: Any) -> None:
    """Put samples into the order of the data.

    They arrive in the order in which vLLM finished them, which differs from run to run and would put them into
    different mini-batches.
    """
    batch.reorder(sorted(range(len(batch)), key=lambda row: _prompt_and_sample(batch.keys[row])))


def _prompt_and_sample(key: str) -> tuple[str, int, int]:
    """Sort key of a sample that verl names ``prompt_sample_turn``."""
    prompt, sample, turn = key.rsplit("_", 2)
    return prompt, int(sample), int(turn)


def read_by_policy(batch: Any) -> Any:
    """The batch with the columns alone that the policy reads."""
    known = transfer_queue.get_client().kv_retrieve_meta(keys=batch.keys[:1], partition_id=batch.partition_id)
    batch.fields = [name for name in known.field_names if name not in _NOT_READ]
    return batch


def partitions(lengths: Any, k_partitions: int, equal_size: bool) -> list[list[int]]:
    """verl's shares of the samples; one rank has them all, for which verl would sort for a tenth of a second."""
    if k_partitions == 1:
        return [list(range(len(lengths)))]
    found: list[list[int]] = get_seqlen_balanced_partitions(lengths, k_partitions=k_partitions, equal_size=equal_size)
    return found
