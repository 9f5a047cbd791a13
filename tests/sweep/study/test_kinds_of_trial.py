"""What a study may ask of its trials: a replay in place of training, early ends, a budget."""

import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app
from sweep.input.errors import UserError
from sweep.study.study import load_study

_OPTUNA = """\
name: example
trial: {kind: replay, traces: output/earlier}
space:
  kind: optuna
  trials: 5
  objective: [clip_fraction, realised_gain]
  parameters:
    gain: {low: 1.0e-4, high: 0.3}
    threshold: {low: 0.1, high: 1}
    kappa: 3
"""
_GRID = """\
name: example
space: {kind: grid, q: [1.0e-6, 1.0e-2], v: [1], kappa: [3]}
steps: 6
eval: {every: 2}
early_stopping: {method: median, after: 2}
budget: {trials: 1, hours: 0.5}
"""


def test_a_replay_has_no_steps_and_counts_as_one(write_study):
    study = load_study(write_study(_OPTUNA))
    assert (study.steps, study.trial.is_replay, study.trial.only) == (1, True, None)


def test_the_plan_says_what_limits_it(write_study):
    runner = CliRunner(env={"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "400"})
    text = runner.invoke(app, ["plan", str(write_study(_OPTUNA))]).output
    assert "5 trials, each a replay of the log ratios in output/earlier; nothing is trained." in " ".join(text.split())
    text = runner.invoke(app, ["plan", str(write_study(_GRID))]).output
    assert "falls behind in accuracy is ended early (median, after 2 steps at the earliest)" in " ".join(text.split())
    assert "No trial begins once 1 trials or 0.5 hours are spent." in text


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        (_OPTUNA, "[clip_fraction, realised_gain]", "accuracy", "6: space.objective: a replay has no accuracy"),
        (_OPTUNA, "    kappa: 3\n", "    kappa: 3\nseeds: 2\n", "seeds: a replay has no randomness"),
        (_OPTUNA, "    kappa: 3\n", "    kappa: 3\nsteps: 2\n", "steps: a replay has no training steps"),
        (_OPTUNA, "    kappa: 3\n", "    kappa: 3\noverrides: {+a.b: 1}\n", "overrides: a replay does not run verl"),
        (_OPTUNA, "    kappa: 3\n", "    kappa: 3\ncheckpoint: {every: 2}\n", "checkpoint: a replay has nothing to"),
        (_OPTUNA, ", traces: output/earlier", "", "2: trial.traces: this key is missing: a replay needs"),
        (_OPTUNA, "kind: replay", "kind: replays", "unknown value 'replays'; did you mean 'replay'?"),
        (_OPTUNA, "trial: {kind: replay, traces: output/earlier}", "steps: 3\ntrial: {kind: train, only: [a]}",
         "trial.only: goes with kind: replay alone"),
        (_OPTUNA, "trial: {kind: replay, traces: output/earlier}\n", "", "steps: this key is missing"),
        (_OPTUNA.replace("realised_gain]", "switch_frequency]"),
         "trial: {kind: replay, traces: output/earlier}", "steps: 2",
         "space.objective: switch_frequency is measured by a replay alone"),
        (_OPTUNA, "trial: {kind: replay, traces: output/earlier}", "steps: 3\nearly_stopping: {method: asha}",
         "needs one objective to compare trials by; space.objective names clip_fraction, realised_gain"),
        (_GRID, "eval: {every: 2}\n", "", "early_stopping.metric: accuracy is known after evaluations alone"),
        (_GRID, "after: 2", "after: 6", "early_stopping.after: must be below steps = 6, got 6"),
        (_GRID, "budget: {trials: 1, hours: 0.5}", "budget: {}", "budget: says no limit: give trials, steps or hours"),
        (_GRID.partition("steps")[0], "kappa: [3]}",
         "kappa: [.inf], numerics: [public-cumsum-fp32]}\ntrial: {kind: replay, traces: a}",
         "a replay computes with numerics exact alone, not with public-cumsum-fp32"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_key(write_study, text, old, new, expected):
    with pytest.raises(UserError) as caught:
        load_study(write_study(text, replace={old: new}))
    assert expected in str(caught.value)


def test_traces_that_are_not_there_are_refused_and_leave_nothing_behind(write_study, tmp_path):
    runner = CliRunner(env={"CUDA_VISIBLE_DEVICES": ""})
    done = runner.invoke(app, ["run", str(write_study(_OPTUNA)), "--output", str(tmp_path / "out")])
    assert (done.exit_code, "trial.traces: output/earlier holds no study" in done.output) == (2, True)
    assert not (tmp_path / "out").exists()
