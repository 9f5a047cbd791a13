"""Exports: read back by the tools they are for."""

import math

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState
from typer.testing import CliRunner

import sweep
from sweep.commands.cli import app
from sweep.input.errors import UserError
from sweep.store.exports import accuracy_of, export


def _invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_csv_and_parquet_hold_the_tables(recorded, tmp_path):
    study = sweep.load(recorded)
    for name, expected in (("csv", 3), ("parquet", 4)):
        result = _invoke("export", recorded, "--format", name, "--to", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert len(result.output.split()) == expected
    trials = pd.read_csv(tmp_path / "csv" / "trials.csv")
    assert trials["trial"].tolist() == study.trials["trial"].tolist()
    assert trials["kappa"][1] == math.inf
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "parquet" / "samples.parquet"), study.samples)
    assert pd.read_parquet(tmp_path / "parquet" / "traces.parquet")["z"][0][1] == pytest.approx(0.5)


def test_optuna_opens_the_storage_and_finds_the_best_trial(recorded, tmp_path):
    (path,) = export(study=sweep.load(recorded), format="optuna", folder=tmp_path / "optuna")
    made = optuna.load_study(study_name="small", storage=f"sqlite:///{path}")
    clips, unclipped, gspo = made.trials
    assert made.best_trial.user_attrs["trial"] == "open_s0"
    assert made.best_value == 0.5
    assert (clips.params["q"], clips.params["v"], clips.params["clips"], clips.params["kappa"]) == (1e-6, 1e-2, True, 1)
    assert unclipped.params["clips"] is False
    assert "kappa" not in unclipped.params
    assert unclipped.intermediate_values == {1: 0.1, 2: 0.2}
    assert gspo.state == TrialState.FAIL
    assert gspo.user_attrs["reason"] == "killed"
    assert "q" not in gspo.params
    # It is a study like any other: more trials can be asked for in its ranges.
    again = made.ask(clips.distributions)
    assert again.params["kappa"] == 1.0


def test_accuracy_is_the_mean_over_benchmarks():
    assert accuracy_of({"eval/a/avg_at_4": 0.2, "eval/b/avg_at_4": 0.6, "eval/a/pass_at_4": 1.0}) == pytest.approx(0.4)
    assert math.isnan(accuracy_of({"q": 1.0}))


def test_nothing_is_overwritten_and_nothing_half_written(recorded, tmp_path):
    (tmp_path / "here").mkdir()
    with pytest.raises(UserError, match="is not overwritten; choose another with --to"):
        export(study=sweep.load(recorded), format="csv", folder=tmp_path / "here")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        export(study=sweep.load(recorded), format="csv", folder=tmp_path / "file" / "below")
    result = _invoke("export", recorded, "--format", "cvs")
    assert result.exit_code == 2
    assert "did you mean 'csv'?" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "here"]
