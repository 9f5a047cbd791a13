"""Traces: the log ratios that the loss saw, a uniform sample of sequences for each training step, as Parquet.

A trial costs GPU-hours and its log ratios are a few megabytes, so they are kept and can be filtered again with any
(Q, V, kappa) (`iskpo.replay.refilter`). One row is one sequence in one update; pandas or polars read the file without
this package, and a null in ``z`` is a token outside the mask. Files of format 1, which earlier versions wrote,
have no ``old_log_prob`` and are read all the same.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FORMAT = 2
# Says the format in a file's metadata; without it the format is 1.
_FORMAT_KEY = b"iskpo.traces.format"
# Bytes per token; per row without its tokens, and per file without its rows (measured, rounded up).
_TOKEN_BYTES, _ROW_BYTES, _FILE_BYTES = 8, 64, 16_000


class UnknownFormatError(ValueError):
    """A file of traces was written in a format that is newer than this program."""


@dataclass(frozen=True)
class SequenceTrace:
    """One sequence in one update of the policy.

    Attributes:
        update: Optimizer update within the training step (verl's mini-batch, counted over epochs), from 0.
        rank: Data-parallel rank that computed it.
        micro_batch: Micro-batch within the update, from 0.
        row: Row within the micro-batch.
        shape: Rows and tokens of the micro-batch with its padding: with `row` it says where the numbers stood, so that
            sums over the batch can be repeated in the same order.
        problem_id: The task's name for the problem.
        sample: Number of the sample among those of its problem.
        reward: The sequence's reward, a sum over its tokens.
        z: log pi - log pi_old as the loss computed it, float32, up to the last observed token; NaN outside the mask.
        old_log_prob: log pi_old, likewise: how sure the policy was that generated the token.
    """

    update: int
    rank: int
    micro_batch: int
    row: int
    shape: tuple[int, int]
    problem_id: str
    sample: int
    reward: float
    z: npt.NDArray[np.float32]
    old_log_prob: npt.NDArray[np.float32]


@dataclass(frozen=True)
class StepTrace:
    """The sequences kept of one training step, and how many there were.

    Attributes:
        sequences: What was kept, each with the random key that decided it.
        seen: Sequences with at least one observed token that the loss saw.
    """

    sequences: list[tuple[float, SequenceTrace]]
    seen: int

    def merge(self, other: "StepTrace", *, capacity: int) -> "StepTrace":
        """The sample that one process would have kept of both: the smallest keys of all."""
        both = sorted([*self.sequences, *other.sequences], key=lambda item: item[0])
        return StepTrace(both[:capacity], self.seen + other.seen)


class Reservoir:
    """A uniform sample without replacement of a stream, by the smallest of independent uniform keys (bottom-k).

    Every sequence draws a key whether it is kept or not, so the same seed keeps the same places of the stream, and
    samples of several ranks merge into one of all of them (`StepTrace.merge`).
    """

    def __init__(self, *, capacity: int, seed: Sequence[int]) -> None:
        """Start empty.

        Args:
            capacity: Most sequences to keep.
            seed: Entropy of the keys; ranks need different ones.
        """
        self._capacity = capacity
        self._random = np.random.default_rng(list(seed))
        self._heap: list[tuple[float, SequenceTrace]] = []  # by the negative key: the first to go is on top
        self._seen = 0

    def draw(self, count: int) -> list[tuple[int, float]]:
        """Position and key of those of the next `count` sequences that are to be kept for now."""
        self._seen += count
        keys = self._random.random(count)
        limit = -self._heap[0][0] if len(self._heap) == self._capacity and self._heap else 1.0
        return [(place, float(key)) for place, key in enumerate(keys) if key < limit] if self._capacity else []

    def keep(self, key: float, sequence: SequenceTrace) -> None:
        """Keep a drawn sequence, in the place of the one with the largest key where there is no room."""
        # Keys are distinct but for one chance in 2^53, so sequences themselves are never compared.
        if len(self._heap) < self._capacity:
            heapq.heappush(self._heap, (-key, sequence))
        elif key < -self._heap[0][0]:
            heapq.heapreplace(self._heap, (-key, sequence))

    def take(self) -> StepTrace:
        """What has been kept, smallest key first."""
        kept = sorted(((-negative, sequence) for negative, sequence in self._heap), key=lambda item: item[0])
        return StepTrace(kept, self._seen)


def capacity_for(*, megabytes: float, steps: int, tokens: int) -> int:
    """Sequences to keep of each step so that a trial's files stay below a size, however long the responses are.

    Args:
        megabytes: Most that a trial's traces may take, in 10^6 bytes; 0 for none.
        steps: Training steps of the trial.
        tokens: Longest response.
    """
    return max(0, int((megabytes * 1e6 / steps - _FILE_BYTES) // (_TOKEN_BYTES * tokens + _ROW_BYTES)))


def write_traces(path: Path, *, step: int, trace: StepTrace) -> None:
    """Write one training step as Parquet (zstd), rows in the order in which the loss saw them.

    Columns are those of `SequenceTrace` (`shape` as ``rows`` and ``width``), and ``step``, ``step_sequences`` (how many
    the loss saw in the step: the trace is complete when it holds as many) and ``tokens`` (observed tokens).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = sorted((s for _, s in trace.sequences), key=lambda s: (s.update, s.rank, s.micro_batch, s.row))
    count = len(kept)
    offsets = np.concatenate(([0], np.cumsum([s.z.size for s in kept], dtype=np.int64))).astype(np.int32)
    outside = np.isnan(np.concatenate([s.z for s in kept])) if kept else np.empty(0, bool)
    of_tokens = {"z": [s.z for s in kept], "old_log_prob": [s.old_log_prob for s in kept]}
    lists = {}
    for name, values in of_tokens.items():
        flat = np.concatenate(values) if kept else np.empty(0, np.float32)
        lists[name] = pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, pa.float32(), mask=outside))
    integers = {
        "step": [step] * count,
        "update": [s.update for s in kept],
        "rank": [s.rank for s in kept],
        "micro_batch": [s.micro_batch for s in kept],
        "row": [s.row for s in kept],
        "rows": [s.shape[0] for s in kept],
        "width": [s.shape[1] for s in kept],
        "sample": [s.sample for s in kept],
        "step_sequences": [trace.seen] * count,
        "tokens": [int(np.count_nonzero(~np.isnan(s.z))) for s in kept],
    }
    table = pa.table(
        {
            **{name: pa.array(values, pa.int32()) for name, values in integers.items()},
            "problem_id": pa.array([s.problem_id for s in kept], pa.string()),
            "reward": pa.array([s.reward for s in kept], pa.float32()),
            **lists,
        }
    ).replace_schema_metadata({_FORMAT_KEY: str(FORMAT).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    # A dictionary of numbers that hardly ever repeat would only add to the file.
    others = [name for name in table.column_names if name not in lists]
    pq.write_table(table, path, compression="zstd", use_dictionary=others)


@dataclass(frozen=True)
class Traces:
    """Sequences read back, N of them, as arrays.

    Attributes:
        columns: The integer columns of `write_traces`, each (N,).
        problem_id: (N,) of str.
        reward: (N,).
        offsets: (N + 1,); sequence i is z[offsets[i]:offsets[i + 1]].
        z: All log ratios one after another, float32; NaN outside the mask.
        old_log_prob: log pi_old, likewise; None where a file is of format 1.
    """

    columns: dict[str, npt.NDArray[np.int64]]
    problem_id: list[str]
    reward: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]
    z: npt.NDArray[np.float32]
    old_log_prob: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.offsets) - 1

    def sequence(self, index: int) -> npt.NDArray[np.float32]:
        """Log ratios of one sequence, NaN outside the mask."""
        return self.z[self.offsets[index] : self.offsets[index + 1]]

    def observed(self, values: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float64]]:
        """`z` or `old_log_prob` of each sequence's observed tokens, without holes, as float64."""
        there = ~np.isnan(self.z)
        counts = np.concatenate([[0], np.cumsum(there)])[self.offsets]
        return np.split(values[there].astype(np.float64), counts[1:-1])

    def subset(self, rows: npt.NDArray[np.int64]) -> "Traces":
        """The sequences of these numbers, in this order."""
        places = np.concatenate(
            [np.empty(0, np.int64), *(np.arange(self.offsets[row], self.offsets[row + 1]) for row in rows)]
        )
        return Traces(
            columns={name: values[rows] for name, values in self.columns.items()},
            problem_id=[self.problem_id[row] for row in rows],
            reward=self.reward[rows],
            offsets=np.concatenate([[0], np.cumsum(np.diff(self.offsets)[rows])]).astype(np.int64),
            z=self.z[places],
            old_log_prob=None if self.old_log_prob is None else self.old_log_prob[places],
        )

    @property
    def tokens(self) -> int:
        """Observed tokens of all sequences."""
        return int(np.count_nonzero(~np.isnan(self.z)))

    @property
    def complete(self) -> bool:
        """Whether every step holds all sequences that the loss saw, none left out by the sampling."""
        steps, places, kept = np.unique(self.columns["step"], return_index=True, return_counts=True)
        return bool(len(steps) and (self.columns["step_sequences"][places] == kept).all())


def read_traces(paths: Iterable[Path]) -> Traces:
    """Read files of `write_traces`, in the given order.

    Raises:
        UnknownFormatError: A file is of a newer format.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for path in paths:
        part = pq.read_table(path)
        found = int((part.schema.metadata or {}).get(_FORMAT_KEY, 1))
        if found > FORMAT:
            raise UnknownFormatError(f"{path} is of format {found}; this program reads traces up to format {FORMAT}")
        tables.append(part.replace_schema_metadata(None))
    known = all("old_log_prob" in part.column_names for part in tables)
    table: pa.Table = pa.concat_tables(tables if known else [part.select(_shared(tables)) for part in tables])
    lists = {name: table[name].combine_chunks() for name in ("z", "old_log_prob") if name in table.column_names}
    tokens = {
        name: column.values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        for name, column in lists.items()
    }
    names = [field.name for field in table.schema if pa.types.is_int32(field.type)]
    return Traces(
        columns={name: table[name].to_numpy().astype(np.int64) for name in names},
        problem_id=table["problem_id"].to_pylist(),
        reward=table["reward"].to_numpy(),
        offsets=lists["z"].offsets.to_numpy().astype(np.int64),
        z=tokens["z"],
        old_log_prob=tokens.get("old_log_prob"),
    )


def _shared(tables: list[Any]) -> list[str]:
    """Columns that every table has, in the first one's order."""
    return [name for name in tables[0].column_names if all(name in other.column_names for other in tables)]
