"""Which trials wait for which, which are settled without training, and what of them is recorded."""

import json
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest

import sweep
from sweep.arms.twins import LARGEST, LONGEST, RATIO
from sweep.engine.event_lines import EventLines
from sweep.engine.recording import Recording
from sweep.engine.suggester import OptunaSuggester
from sweep.engine.trial_source import Outcome, PlannedTrials, SuggestedTrials, TrialEnds, TrialSource, from_config
from sweep.engine.tuning import TrialSearcher
from sweep.engine.twins import Twins
from sweep.search_spaces import OptunaSpace
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.plan_file import start_of_run
from sweep.store.recorded_points import history, measured
from sweep.store.study_tracking import StudyTracking
from sweep.store.trial_tables import keep_samples
from sweep.study.budget import Spent
from sweep.study.early_stopping import Metric
from sweep.study.plan import TrialPlan, listed_trials, plan_trials
from sweep.study.study import Study

STEPS = 2
_FINISHED = Outcome("finished")


def _study(kappas: list[float], **others: Any) -> Study:
    space = {"kind": "grid", "q": [1e-4, 1e-2], "v": [1.0], "kappa": kappas}
    return Study.model_validate({"name": "twins", "space": space, "steps": STEPS, **others})


def _next(source: PlannedTrials) -> str:
    trial = source.next()
    return "" if trial is None else trial.key


def test_the_largest_threshold_comes_first_at_the_places_of_its_family() -> None:
    plan = [trial.arm.kappa for trial in plan_trials(_study([1.0, float("inf"), 3.0]))]
    assert plan == [float("inf"), 3.0, 1.0] * 2
    trained = [trial.arm.kappa for trial in plan_trials(_study([1.0, float("inf"), 3.0], twins="train"))]
    assert trained == [1.0, float("inf"), 3.0] * 2


def test_a_trial_waits_for_one_that_it_may_turn_out_to_be_while_there_is_something_else() -> None:
    plan = plan_trials(_study([float("inf"), 3.0]))
    first, second, third, fourth = (trial.key for trial in plan)
    source = PlannedTrials(plan, twins=True)
    assert [_next(source), _next(source)] == [first, third]
    # Nothing else is left: a slot is not kept idle.
    assert _next(source) == second
    source.ended(plan[2], _FINISHED)
    assert [_next(source), _next(source)] == [fourth, ""]
    in_order = PlannedTrials(plan)
    assert [_next(in_order) for _ in plan] == [first, second, third, fourth]


class _Output:
    """A study whose trials are recorded as the driver does it."""

    def __init__(
        self, output: Path, study: Study, *, measured: dict[str, float], source: TrialSource | None = None
    ) -> None:
        self.output, self.measured = output, measured
        self.plan = listed_trials(study)
        self.tracking = StudyTracking(output=output, study="twins")
        self.tracking.start_study(name="twins", question="", params={"steps": STEPS})
        self.source = source or PlannedTrials(self.plan, twins=True)
        self.recording = Recording(
            tracking=self.tracking,
            progress=EventLines(total=len(self.plan), steps=STEPS),
            ends=TrialEnds(self.source),
            spent=Spent(),
            output=output,
            params={},
            twins=Twins(finished=[], steps=STEPS, measured=self._measured, wanted=study.twins == "record"),
        )
        self.searcher = TrialSearcher(source=self.source, may_start=lambda: True, settle=self.recording.settle)

    def _measured(self, key: str, names: tuple[str, ...]) -> list[dict[str, float]]:
        return measured(output=self.output, run_id=self.tracking.run_of(key), names=names)

    def train(self, trial: TrialPlan) -> None:
        """Record a trial as finished, with this study's measurements in each step."""
        self.recording.spent.begin(trial.key)
        self.tracking.start_trial(**start_of_run(trial, params={}))
        for step in range(1, STEPS + 1):
            metrics = {"kalman/gain_mean": 0.1, "kalman/clip_fraction": 0.0, "timing_s/step": 7.0, **self.measured}
            self.tracking.log_metrics(key=trial.key, step=step, metrics=metrics)
        path = self.output / f"{STEPS}.jsonl"
        sample = {"input": "1", "output": "2", "gts": "2", "score": 1.0, "benchmark": "b", "problem_id": "p"}
        path.write_text(json.dumps({**sample, "step": STEPS}) + "\n")
        table, metrics = keep_samples(path, step=STEPS, k=1)
        self.tracking.log_samples(key=trial.key, step=STEPS, path=table, metrics=metrics)
        self.tracking.end_trial(key=trial.key, state="finished")
        objectives = {name: 0.5 for name in self.source.objectives}
        recorded = {f"objective/{name}": value for name, value in objectives.items()}
        self.tracking.log_metrics(key=trial.key, step=STEPS, metrics=recorded)
        self.recording._end(trial, Outcome("finished", objectives, step=STEPS))

    def run(self) -> list[str]:
        """Keys of the trials that were trained."""
        trained = []
        while isinstance(config := self.searcher.suggest("x"), dict):
            trained.append(config["trial"])
            self.train(from_config(config))
        return trained


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path


_MEASURED = {RATIO: 2.0, LARGEST: 2.0, LONGEST: 50.0}
_SECOND = "Q0.0001_V1_k3_s0"


def test_a_trial_that_is_proved_to_be_another_is_recorded_with_its_numbers_and_not_trained(output: Path) -> None:
    study = _Output(output, _study([float("inf"), 3.0, 1.0]), measured=_MEASURED)
    assert study.run() == ["Q0.0001_V1_kinf_s0", "Q0.0001_V1_k1_s0", "Q0.01_V1_kinf_s0", "Q0.01_V1_k1_s0"]
    assert len(study.recording.ends.finished) == 6
    # Nothing is spent on what is not trained.
    assert (study.recording.spent.trials, study.recording.spent.running) == (4, {})
    study.tracking.end_study(state="finished")
    runs = {run.trial: run for run in recorded_runs(output, metrics=("*",), params=True)}
    twin, original = runs[_SECOND], runs["Q0.0001_V1_kinf_s0"]
    assert (twin.state, twin.status, twin.same_as) == ("finished", "FINISHED", original.trial)
    assert twin.reason == "threshold never reached"
    assert twin.tags["iskpo.same_as_run"] == original.run_id
    assert original.run_id in twin.tags["mlflow.note.content"]
    assert twin.params["kappa"] == "3.0"
    assert twin.step == STEPS
    shared = {name: value for name, value in original.metrics.items() if not name.startswith(("timing_s/", "system/"))}
    assert "eval/b/avg_at_1" in shared
    assert twin.metrics == shared | {"kalman/kappa": 3.0}
    tables = sweep.load(output)
    samples = tables.samples
    assert set(samples["trial"]) == set(runs)
    assert samples.loc[samples["trial"] == _SECOND, "correct"].tolist() == [True]
    row = tables.trials.set_index("trial").loc[_SECOND]
    assert (row["same_as"], row["kappa"]) == (original.trial, 3.0)
    assert tables.trials.set_index("trial").loc[original.trial, "same_as"] == ""


@pytest.mark.parametrize(
    ("study", "measured"),
    [
        (_study([float("inf"), 3.0], twins="train"), _MEASURED),
        (_study([float("inf"), 3.0]), {RATIO: 3.5, LARGEST: 3.5, LONGEST: 50.0}),
        (_study([float("inf"), 3.0]), {}),
    ],
    ids=["twins are trained", "the threshold was reached", "nothing was measured"],
)
def test_what_is_not_proved_or_not_wanted_is_trained(output: Path, study: Study, measured: dict[str, float]) -> None:
    made = _Output(output, study, measured=measured)
    assert len(made.run()) == 4
    assert [run.same_as for run in recorded_runs(output)] == [""] * 4


def test_an_arm_that_optuna_chooses_again_is_not_trained_again_with_the_same_seed(
    output: Path,
) -> None:
    choices = {"q": 1e-4, "v": 1.0, "kappa": {"choices": [1.0, 1.5]}, "p0": {"choices": [0.0, 0.1]}}
    space = {"kind": "optuna", "sampler": "random", "trials": 4, "parameters": choices}
    study = Study.model_validate({"name": "twins", "space": space, "steps": STEPS, "seeds": 2})
    assert isinstance(study.space, OptunaSpace)
    suggester = OptunaSuggester(
        space=study.space, defaults=study.defaults, storage_path=output / "optuna.db", study_name="twins"
    )
    source = SuggestedTrials(suggester=suggester, seeds=study.seeds, objectives=("accuracy",), before={})
    made = _Output(output, study, measured={RATIO: 5.0, LARGEST: 5.0, LONGEST: 50.0}, source=source)
    trained = made.run()
    runs = recorded_runs(output, params=True)
    different = {(run.params["kappa"], run.params["p0"], run.params["seed"]) for run in runs}
    assert len(runs) == 8
    assert len(trained) == len(different) < 8
    assert {run.reason for run in runs} == {"", "the same parameters"}
    told = optuna.load_study(study_name="twins", storage=f"sqlite:///{output / 'optuna.db'}").trials
    assert [trial.value for trial in told] == [0.5] * 4


def test_early_stopping_reads_what_it_compares_of_trials_that_ended_before(output: Path) -> None:
    made = _Output(output, _study([3.0]), measured=_MEASURED)
    trial = made.plan[0]
    made.train(trial)
    run = made.tracking.run_of(trial.key)
    found = {name: history(output=output, run_id=run, metric=name) for name in get_args(Metric)}
    assert found == {
        "reward": [],
        "accuracy": [(STEPS, 1.0)],
        "clip_fraction": [(1, 0.0), (STEPS, 0.0)],
        "realised_gain": [(1, 0.1), (STEPS, 0.1)],
    }
