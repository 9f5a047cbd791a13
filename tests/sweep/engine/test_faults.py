"""Kill -9 of each component of a running study, at a moment of the whole run: noticed, and nothing lost or left behind.

``ISKPO_FAULT_RUNS`` (24) runs, of which one is in CI; ``ISKPO_FAULT_FIRST`` (0) is the number of the first. Longer
series: ``benchmarks/soak.py``.
"""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from tests.sweep.fault_runs import COMPONENTS, PHASES, component_of, moment_of, run_with_fault

RUNS, FIRST = int(os.environ.get("ISKPO_FAULT_RUNS", "24")), int(os.environ.get("ISKPO_FAULT_FIRST", "0"))
# Seconds within which a death is noticed, whatever dies and whenever.
_NOTICED_WITHIN = 60
# The command itself: the shortest, and it is resumed.
_IN_CI = 2


def _number(number: int) -> object:
    marks = () if number == _IN_CI else (pytest.mark.slow,)
    return pytest.param(number, marks=marks)


@pytest.mark.end_to_end
@pytest.mark.parametrize("number", [_number(number) for number in range(FIRST, FIRST + RUNS)])
def test_after_a_kill_the_study_is_completed(number: int, tmp_path: Path) -> None:
    component = component_of(number)
    moment = moment_of(number, component=component)
    run = run_with_fault(number=number, component=component, moment=moment, folder=tmp_path / "run")
    print(json.dumps(dataclasses.asdict(run)))
    assert run.killed is not None
    assert run.noticed is not None
    assert run.noticed < _NOTICED_WITHIN
    assert run.codes[-1] == 0
    assert (run.lost, run.doubled, run.left) == ([], [], [])


def test_moments_are_of_the_whole_run_and_every_component_has_its_turn() -> None:
    runs = [(component_of(number), moment_of(number, component=component_of(number))) for number in range(600)]
    assert [component for component, _ in runs[: len(COMPONENTS)]] == list(COMPONENTS)
    assert {moment.line for _, moment in runs} == {line for line, _ in PHASES}
    assert all(0 <= moment.delay <= dict(PHASES)[moment.line] for _, moment in runs)
    # More than half of a short run is its start.
    assert 0.5 < sum(moment.line == "starting verl and vLLM" for _, moment in runs) / len(runs) < 0.65
