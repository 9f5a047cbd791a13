"""The order of a step's samples, and their shares for the ranks."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transfer_queue import KVBatchMeta
from verl.utils.seqlen_balancing import get_seqlen_balanced_partitions

from iskpo.verl.batches import partitions, restore_order


@given(st.randoms(use_true_random=False))
def test_samples_have_the_order_of_the_data_however_they_arrive(order: random.Random) -> None:
    keys = [f"{prompt:09d}_{sample}_{turn}" for prompt in (9, 10, 100) for sample in range(11) for turn in range(2)]
    arrived = order.sample(keys, len(keys))
    batch = KVBatchMeta(keys=arrived, tags=[{"key": key} for key in arrived])
    restore_order(batch)
    assert batch.keys == keys
    assert [tag["key"] for tag in batch.tags] == keys


@pytest.mark.parametrize("ranks", [1, 2, 4])
@given(lengths=st.lists(st.integers(1, 5000), min_size=2, max_size=6))
def test_shares_are_verls(ranks: int, lengths: list[int]) -> None:
    lengths = lengths * ranks
    expected = get_seqlen_balanced_partitions(lengths, k_partitions=ranks, equal_size=True)
    assert partitions(lengths, k_partitions=ranks, equal_size=True) == expected
