"""The table of a soak says what its runs were."""

import dataclasses

from benchmarks.soak import _machine, table
from tests.sweep.fault_runs import FaultRun


def test_the_table_has_the_largest_time_and_counts_what_is_wrong() -> None:
    runs = [
        FaultRun(0, "slot", "the start + 1.0 s", killed=3.0, noticed=0.4, said="[ 1 s] a: attempt failed", codes=[0]),
        FaultRun(12, "slot", "the start + 9.0 s", killed=9.0, noticed=2.6, codes=[130, 0], left=["/dev/shm/x"]),
        FaultRun(1, "vLLM's engine", "a: finished + 1.0 s", codes=[0]),
    ]
    lines = table([{**dataclasses.asdict(run), "before": _machine(), "after": _machine()} for run in runs]).splitlines()
    assert "of which 2 with a kill; largest time to notice 2.6 s; lost 0, doubled 0, left behind 1" in lines[2]
    assert "| slot | 2 | 1.5 | 2.6 | 0, 130 0 | 0 | 0 | 1 |" in lines
    # Nothing was killed in it, so it tells nothing of the engine.
    assert not any(line.startswith("| vLLM's engine | 1 ") for line in lines)
    assert "| 12 | slot | the start + 9.0 s | 9.0 | 2.6 | 130 0 | the command ended |" in lines
