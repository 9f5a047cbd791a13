"""Kill -9 of each component of a running study, at a moment of the whole run: noticed, and nothing lost or left behind.

``ISKPO_FAULT_RUNS`` (24) runs; ``ISKPO_FAULT_FIRST`` (0) is the number of the first. One of them is in CI, by
``tests/test_end_to_end.py``. Longer series: ``benchmarks/soak.py``.
"""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from tests.sweep.fault_runs import COMPONENTS, PHASES, component_of, moment_of, run_with_fault

RUNS, FIRST = int(os.environ.get("ISKPO_FAULT_RUNS", "24")), int(os.environ.get("ISKPO_FAULT_FIRST", "0"))


@pytest.mark.end_to_end
@pytest.mark.slow
@pytest.mark.parametrize("number", range(FIRST, FIRST + RUNS))
def test_after_a_kill_the_study_is_completed(number: int, tmp_path: Path) -> None:
    component = component_of(number)
    moment = moment_of(number, component=component)
    run = run_with_fault(number=number, component=component, moment=moment, folder=tmp_path / "run")
    print(json.dumps(dataclasses.asdict(run)))
    assert run.problems() == []


def test_moments_are_of_the_whole_run_and_every_component_has_its_turn() -> None:
    runs = [(component_of(number), moment_of(number, component=component_of(number))) for number in range(600)]
    assert [component for component, _ in runs[: len(COMPONENTS)]] == list(COMPONENTS)
    assert {moment.line for _, moment in runs} == {line for line, _ in PHASES}
    assert all(0 <= moment.delay <= dict(PHASES)[moment.line] for _, moment in runs)
    # More than half of a short run is its start.
    assert 0.5 < sum(moment.line == "starting verl and vLLM" for _, moment in runs) / len(runs) < 0.65
