"""`sweep.load`: the tables hold what was recorded, also from a folder that was moved."""

import math
import shutil
import subprocess
import sys

import pytest

import sweep
from sweep.input.errors import UserError


def test_every_planned_trial_is_a_row_with_its_parameters_and_accuracy(recorded):
    study = sweep.load(recorded)
    assert (study.name, study.question, study.state) == ("small", "Why?", "failed")
    trials = study.trials.set_index("trial")
    assert trials["state"].to_dict() == {
        "clips_s0": "finished", "open_s0": "finished", "gspo_s0": "failed", "later_s0": "not started",
    }  # fmt: skip
    assert trials.loc["clips_s0", ["q", "v", "kappa"]].tolist() == [1e-6, 1e-2, 1.0]
    assert trials.loc["open_s0", "kappa"] == math.inf
    assert math.isnan(trials.loc["gspo_s0", "kappa"])
    assert trials.loc["gspo_s0", "reason"] == "killed"
    # No answer of the first arm is right, and half of the second's.
    assert trials["eval/sums/avg_at_2"].fillna(-1).to_dict() == {
        "clips_s0": 0.0, "open_s0": 0.5, "gspo_s0": -1, "later_s0": -1,
    }  # fmt: skip
    assert "4 trials" in repr(study)


def test_steps_samples_and_traces_are_tidy(recorded):
    study = sweep.load(str(recorded))
    assert study.steps.pivot(index="step", columns="trial", values="reward/mean").loc[2].tolist() == [0.2, 0.2, 0.2]
    assert study.samples.groupby("trial")["correct"].mean().to_dict() == {"clips_s0": 0.0, "open_s0": 0.5}
    assert study.samples["response"].eq("2").all()
    assert study.traces["trial"].tolist() == ["clips_s0", "open_s0"]
    assert study.traces["z"].iloc[0][1] == pytest.approx(0.5)
    for table in (study.trials, study.steps, study.samples, study.traces):
        assert list(table.columns[:3]) == ["trial", "arm", "seed"]


def test_a_copied_folder_is_read_without_the_original(recorded, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(recorded, copy)
    moved = tmp_path / "moved"
    copy.rename(moved)
    assert len(sweep.load(moved).samples) == 8


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_without_a_study_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="give the --output of a run"):
        sweep.load(tmp_path / name)


def test_importing_sweep_loads_no_pandas():
    code = "import sys, sweep; print('pandas' in sys.modules, hasattr(sweep, 'load'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = sweep.lod
