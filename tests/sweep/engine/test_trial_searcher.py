"""Trials are handed out once, in order, for as long as any may start; through Ray Tune's own wrapper."""

import json
from pathlib import Path

from ray.tune.search import ConcurrencyLimiter, Searcher

from sweep.arms.arm import Arm
from sweep.engine.trial_searcher import TrialSearcher
from sweep.engine.trial_source import PlannedTrials, as_config, from_config
from sweep.study.plan import TrialPlan

PLAN = [TrialPlan(key=f"a{number}_s0", arm=Arm(name=f"a{number}", q=1e-6, v=1.0), seed=0) for number in range(3)]


def test_every_trial_is_suggested_once_in_order() -> None:
    searcher = TrialSearcher(source=PlannedTrials(PLAN), may_start=lambda: True)
    assert [searcher.suggest(str(number)) for number in range(3)] == [as_config(trial) for trial in PLAN]
    assert searcher.suggest("3") == Searcher.FINISHED


def test_no_trial_is_suggested_once_none_may_start() -> None:
    answers = iter([True, False, True])
    searcher = TrialSearcher(source=PlannedTrials(PLAN), may_start=lambda: next(answers))
    assert searcher.suggest("0") == as_config(PLAN[0])
    assert searcher.suggest("1") == Searcher.FINISHED
    # A stop is final: a searcher that has finished is not asked again, and would say the same.
    assert searcher.suggest("2") == Searcher.FINISHED


def test_side_by_side_no_more_than_allowed() -> None:
    limited = ConcurrencyLimiter(TrialSearcher(source=PlannedTrials(PLAN), may_start=lambda: True), max_concurrent=1)
    assert limited.suggest("0") == as_config(PLAN[0])
    assert limited.suggest("1") is None
    limited.on_trial_complete("0", {}, error=True)
    assert limited.suggest("1") == as_config(PLAN[1])


def test_a_trial_comes_back_from_its_configuration_as_json() -> None:
    neighbour = TrialPlan(key="g_s7", arm=Arm(name="g", loss="gspo", clip_high=1e-3), seed=7)
    for trial in (*PLAN, neighbour):
        # As Tune writes it.
        assert from_config(json.loads(json.dumps(as_config(trial)))) == trial


def test_how_many_were_suggested_is_kept_and_read_back(tmp_path: Path) -> None:
    first = TrialSearcher(source=PlannedTrials(PLAN), may_start=lambda: True)
    first.suggest("0")
    first.save(str(tmp_path / "state"))
    second = TrialSearcher(source=PlannedTrials([]), may_start=lambda: True)
    second.restore(str(tmp_path / "state"))
    second.save(str(tmp_path / "again"))
    assert (tmp_path / "again").read_text() == (tmp_path / "state").read_text() == '{"suggested": 1}'
