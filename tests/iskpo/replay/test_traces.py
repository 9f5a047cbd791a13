"""Traces: what is written comes back, the sample is uniform over ranks, and a file keeps to its size."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iskpo.replay.traces import (
    Reservoir,
    SequenceTrace,
    StepTrace,
    UnknownFormatError,
    capacity_for,
    read_traces,
    write_traces,
)


def _sequence(number: int, z: np.ndarray | None = None) -> SequenceTrace:
    return SequenceTrace(
        update=number // 4,
        rank=0,
        micro_batch=0,
        row=number % 4,
        shape=(4, 9),
        problem_id=f"p{number}",
        sample=number % 2,
        reward=number / 2,
        z=np.full(3, number, np.float32) if z is None else z,
        old_log_prob=np.full(3, -number, np.float32) if z is None else -np.abs(z),
    )


def _sample(numbers: range, *, capacity: int, seed: list[int], chunk: int = 3) -> StepTrace:
    reservoir = Reservoir(capacity=capacity, seed=seed)
    for start in range(numbers.start, numbers.stop, chunk):
        for place, key in reservoir.draw(min(chunk, numbers.stop - start)):
            reservoir.keep(key, _sequence(start + place))
    return reservoir.take()


def test_pandas_reads_what_was_written(tmp_path: Path) -> None:
    holed = np.array([0.1, np.nan, -0.3, 1e-8], np.float32)
    kept = [(0.5, _sequence(5, holed)), (0.1, _sequence(6)), (0.9, _sequence(2))]
    write_traces(tmp_path / "step_0003.parquet", step=3, trace=StepTrace(kept, seen=4))
    table = pd.read_parquet(tmp_path / "step_0003.parquet")
    assert table["problem_id"].tolist() == ["p2", "p5", "p6"]  # as the loss saw them
    assert table["step"].tolist() == [3, 3, 3]
    assert table["update"].tolist() == [0, 1, 1]
    assert table["tokens"].tolist() == [3, 3, 3]
    assert table["reward"].tolist() == [1.0, 2.5, 3.0]
    assert table["z"][1].dtype == np.float32
    np.testing.assert_array_equal(table["z"][1], holed)

    traces = read_traces([tmp_path / "step_0003.parquet"])
    np.testing.assert_array_equal(traces.sequence(1), holed)
    np.testing.assert_array_equal(traces.old_log_prob, [-2, -2, -2, *-np.abs(holed), -6, -6, -6])
    assert [z.tolist() for z in traces.observed(traces.z)][1] == holed[[0, 2, 3]].tolist()
    assert traces.old_log_prob is not None
    assert [len(old) for old in traces.observed(traces.old_log_prob)] == [3, 3, 3]
    some = traces.subset(np.array([2, 1]))
    assert (some.problem_id, some.columns["update"].tolist()) == (["p6", "p5"], [1, 1])
    np.testing.assert_array_equal(some.sequence(1), holed)
    np.testing.assert_array_equal(some.old_log_prob, [-6, -6, -6, *-np.abs(holed)])
    assert traces.tokens == 9
    assert not traces.complete


def test_files_are_read_as_one_and_are_complete_together(tmp_path: Path) -> None:
    for step in (1, 2):
        write_traces(tmp_path / f"{step}.parquet", step=step, trace=StepTrace([(0.1, _sequence(step))], seen=1))
    traces = read_traces([tmp_path / "1.parquet", tmp_path / "2.parquet"])
    assert traces.complete
    assert traces.columns["step"].tolist() == [1, 2]
    assert traces.sequence(1).tolist() == [2, 2, 2]


def _rewrite(path: Path, *, metadata: dict[bytes, bytes], without: tuple[str, ...] = ()) -> None:
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(list(without)).replace_schema_metadata(metadata), path)


def test_format_1_is_read_alone_and_beside_format_2(tmp_path: Path) -> None:
    paths = [tmp_path / f"{step}.parquet" for step in (1, 2)]
    for step, path in enumerate(paths, start=1):
        write_traces(path, step=step, trace=StepTrace([(0.1, _sequence(step))], seen=1))
    new = read_traces(paths)
    _rewrite(paths[0], metadata={}, without=("old_log_prob",))
    for some in (paths[:1], paths, paths[::-1]):
        old = read_traces(some)
        assert old.old_log_prob is None
        assert len(old) == len(some)
    mixed = read_traces(paths)
    np.testing.assert_array_equal(mixed.z, new.z)
    assert mixed.columns["step"].tolist() == [1, 2]
    assert mixed.subset(np.array([1])).old_log_prob is None


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    write_traces(tmp_path / "1.parquet", step=1, trace=StepTrace([(0.1, _sequence(1))], seen=1))
    _rewrite(tmp_path / "1.parquet", metadata={b"iskpo.traces.format": b"3"})
    with pytest.raises(
        UnknownFormatError, match=r"1\.parquet is of format 3; this program reads traces up to format 2"
    ):
        read_traces([tmp_path / "1.parquet"])


def test_a_step_without_sequences_is_a_readable_file(tmp_path: Path) -> None:
    write_traces(tmp_path / "1.parquet", step=1, trace=StepTrace([], seen=0))
    assert len(pd.read_parquet(tmp_path / "1.parquet")) == len(read_traces([tmp_path / "1.parquet"])) == 0


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 40), capacity=st.integers(0, 20), chunk=st.integers(1, 7), seed=st.integers(0, 99))
def test_a_reservoir_keeps_what_fits_whatever_the_micro_batches(
    count: int, capacity: int, chunk: int, seed: int
) -> None:
    taken = _sample(range(count), capacity=capacity, seed=[seed], chunk=chunk)
    assert taken.seen == count
    assert len(taken.sequences) == min(count, capacity)
    assert [s.problem_id for _, s in taken.sequences] == [
        s.problem_id for _, s in _sample(range(count), capacity=capacity, seed=[seed]).sequences
    ]


def test_ranks_together_are_one_uniform_sample() -> None:
    # Ranks of unequal size: a sample that took as many from each would keep rank 1's sequences three times as often.
    draws, capacity, sizes = 4000, 5, (15, 5)
    kept = np.zeros(sum(sizes))
    for seed in range(draws):
        first = _sample(range(sizes[0]), capacity=capacity, seed=[seed, 0])
        second = _sample(range(sizes[0], sum(sizes)), capacity=capacity, seed=[seed, 1])
        together = first.merge(second, capacity=capacity)
        assert (len(together.sequences), together.seen) == (capacity, sum(sizes))
        for _, sequence in together.sequences:
            kept[int(sequence.problem_id[1:])] += 1
    expected = draws * capacity / sum(sizes)
    # Chi-square with 19 degrees of freedom, less than one in a thousand above; the seeds are fixed.
    assert (((kept - expected) ** 2) / expected / (1 - capacity / sum(sizes))).sum() < 43.8


@pytest.mark.parametrize(("tokens", "steps", "megabytes"), [(96, 6, 2.0), (4096, 16, 5.0), (32768, 3, 5.0)])
def test_files_keep_to_the_size(tokens: int, steps: int, megabytes: float, tmp_path: Path) -> None:
    capacity = capacity_for(megabytes=megabytes, steps=steps, tokens=tokens)
    random = np.random.default_rng(0)
    # Incompressible, full length, and with a hole in every sequence.
    kept = []
    for number in range(capacity):
        z = random.standard_normal(tokens).astype(np.float32)
        z[tokens // 2] = np.nan
        kept.append((0.5, _sequence(number, z)))
    write_traces(tmp_path / "step.parquet", step=1, trace=StepTrace(kept, seen=capacity))
    size = (tmp_path / "step.parquet").stat().st_size
    assert 0.5 * megabytes * 1e6 / steps < size < megabytes * 1e6 / steps


def test_no_megabytes_no_traces() -> None:
    assert capacity_for(megabytes=0, steps=10, tokens=100) == 0
