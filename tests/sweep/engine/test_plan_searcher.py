"""The plan is handed out once, in order, for as long as trials may start; through Ray Tune's own wrapper."""

from pathlib import Path

from ray.tune.search import ConcurrencyLimiter, Searcher

from sweep.engine.plan_searcher import PlanSearcher
from sweep.plan import Arm, TrialPlan

PLAN = [TrialPlan(key=f"a{number}_s0", arm=Arm(name=f"a{number}", q=1e-6, v=1.0), seed=0) for number in range(3)]


def test_every_trial_is_suggested_once_in_order() -> None:
    searcher = PlanSearcher(plan=PLAN, may_start=lambda: True)
    assert [searcher.suggest(str(number)) for number in range(3)] == [{"trial": trial.key} for trial in PLAN]
    assert searcher.suggest("3") == Searcher.FINISHED


def test_no_trial_is_suggested_once_none_may_start() -> None:
    answers = iter([True, False, True])
    searcher = PlanSearcher(plan=PLAN, may_start=lambda: next(answers))
    assert searcher.suggest("0") == {"trial": "a0_s0"}
    assert searcher.suggest("1") == Searcher.FINISHED
    # A stop is final: a searcher that has finished is not asked again, and would say the same.
    assert searcher.suggest("2") == Searcher.FINISHED


def test_side_by_side_no_more_than_allowed() -> None:
    limited = ConcurrencyLimiter(PlanSearcher(plan=PLAN, may_start=lambda: True), max_concurrent=1)
    assert limited.suggest("0") == {"trial": "a0_s0"}
    assert limited.suggest("1") is None
    limited.on_trial_complete("0", {}, error=True)
    assert limited.suggest("1") == {"trial": "a1_s0"}


def test_what_waits_is_kept_and_read_back(tmp_path: Path) -> None:
    first = PlanSearcher(plan=PLAN, may_start=lambda: True)
    first.suggest("0")
    first.save(str(tmp_path / "state"))
    second = PlanSearcher(plan=[], may_start=lambda: True)
    second.restore(str(tmp_path / "state"))
    assert [second.suggest("1"), second.suggest("2")] == [{"trial": "a1_s0"}, {"trial": "a2_s0"}]
