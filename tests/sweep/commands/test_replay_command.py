"""`iskpo-sweep replay` on a study in a real MLflow store, recorded by the code that records runs."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner, Result

from iskpo import InnovationSummary, filter_log_ratios
from iskpo.innovation_moments import moments_by_class, update_metrics
from iskpo.reference.replay_reference import reference_replay
from iskpo.replay.traces import SequenceTrace, StepTrace, read_traces, write_traces
from sweep.commands.cli import app
from sweep.commands.replay_options import read_settings
from sweep.store.study_tracking import StudyTracking

ARMS: dict[str, dict[str, float]] = {
    "kpo-weak_s0": {"q": 1e-2, "v": 1.0, "kappa": math.inf, "p0": 0.0, "rho0": 0.0},
    "clipping_s0": {"q": 1e-6, "v": 1e-2, "kappa": 0.5, "p0": 0.0, "rho0": 0.0},
}
EPS = {"eps_low": 0.01, "eps_high": 0.02}


def _record_step(tracking: StudyTracking, output: Path, key: str, step: int, *, seen: int | None) -> None:
    random = np.random.default_rng(step)
    z = torch.from_numpy((0.05 * random.standard_t(3, size=(8, 20))).astype(np.float32))
    mask = torch.arange(20) < torch.from_numpy(random.integers(3, 21, size=8))[:, None]
    arm = ARMS[key]
    filtered, old = filter_log_ratios(z, mask, **arm), -10 * z.abs()
    metrics = InnovationSummary.from_filter(filtered, mask).as_metrics()
    metrics |= update_metrics({0: moments_by_class(filtered, mask, old)})
    tracking.log_metrics(key=key, step=step, metrics=metrics)
    kept = []
    for row in range(8):
        own = [values[row][mask[row]].numpy() for values in (z, old)]
        kept.append((row / 8, SequenceTrace(0, 0, 0, row, (8, 20), f"p{row}", 0, 1.0, *own)))
    path = output / "trials" / key / f"step_{step:04d}.parquet"
    write_traces(path, step=step, trace=StepTrace(kept, seen or 8))
    tracking.log_traces(key=key, path=path)
    assert not path.exists()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A study with traces; the same, of which a sample was kept; the same, but for a wrong metric; and one without."""
    studies = {}
    for kind in ("whole", "sampled", "wrong", "none"):
        output = studies[kind] = tmp_path_factory.mktemp(kind)
        tracking = StudyTracking(output=output, study="s")
        tracking.start_study(name="s", question="", params={})
        (output / "resolved.yaml").write_text(
            "actor_rollout_ref:\n  actor:\n    clip_ratio_low: 0.01\n    clip_ratio_high: 0.02\n"
        )
        for key, arm in ARMS.items():
            params: dict[str, Any] = {**arm, "gradient": "straight_through", "numerics": "exact"}
            params |= {
                "estimator": "clip",
                "predicted_gain": 0.1,
                "predicted_threshold": 0.1 if arm["kappa"] < 1 else math.inf,
            }
            tracking.start_trial(key=key, arm=key[:-3], seed=0, params=params)
            for step in (1, 2):
                if kind != "none":
                    _record_step(tracking, output, key, step, seen=9 if kind == "sampled" else None)
            if kind == "wrong" and key == "clipping_s0":
                tracking.log_metrics(key=key, step=2, metrics={"kalman/clipped_tokens": 1e6})
            tracking.log_file(key=key, path=output / "resolved.yaml", folder="config")
            tracking.end_trial(key=key, state="finished")
        tracking.end_study(state="finished")
    return studies


def _replay(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


@pytest.fixture(scope="module")
def replayed(recorded: dict[str, Path]) -> tuple[Path, Result]:
    done = _replay(recorded["whole"], "--grid", "6x5")
    assert done.exit_code == 0, done.output
    return recorded["whole"], done


def test_it_reproduces_what_was_logged_and_says_what_it_cannot_know(replayed: tuple[Path, Result]) -> None:
    output, done = replayed
    assert "each trial's log is reproduced to the last bit (4 complete steps of 2 of 2 trials)" in done.stdout
    assert "the policy does not move under replay" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == str(output / "replay")
    check = pd.read_csv(output / "replay" / "check.csv")
    assert check["equal"].all()
    assert {"kalman/tokens", "kalman/clipped_tokens", "innovation/max_abs"} <= set(check["metric"])
    assert "the policy does not move under replay" in (output / "replay" / "README.txt").read_text()


def test_tables_hold_every_setting_of_every_trial_and_of_all(replayed: tuple[Path, Result]) -> None:
    output, _ = replayed
    table = pd.read_parquet(output / "replay" / "replay.parquet")
    assert table["trial"].value_counts().to_dict() == {**dict.fromkeys(ARMS, 30), "all": 30}
    assert len(pd.read_csv(output / "replay" / "replay.csv")) == 90
    pooled, parts = table[table["trial"] == "all"], table[table["trial"] != "all"]
    sums = parts.groupby(["q", "v"])["clipped_tokens"].sum()
    assert pooled.set_index(["q", "v"])["clipped_tokens"].sort_index().to_dict() == sums.sort_index().to_dict()
    # More is clipped at a lower threshold, and everything at the lowest, nothing at the highest.
    assert pooled.groupby(pooled["threshold"].round(9))["clip_fraction"].mean().is_monotonic_decreasing
    assert pooled["clip_fraction"].min() == 0
    assert pooled["clip_fraction"].max() > 0.9
    for name in ("clip_fraction.png", "clip_fraction.svg"):
        assert (output / "replay" / name).stat().st_size > 10_000
    assert not (output / "replay.unfinished").exists()


def test_a_list_of_settings_is_replayed_by_the_specification(recorded: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("q,v,kappa\n1e-6,1e-2,0.5\n1e-2,1,inf\n")
    done = _replay(recorded["whole"], "--settings", tmp_path / "list.csv", "--trial", "clipping_s0", "--overwrite")
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(recorded["whole"] / "replay" / "replay.parquet")
    own = table[table["trial"] == "clipping_s0"]
    assert len(own) == 2
    artifacts = sorted((recorded["whole"] / "artifacts").glob("*/artifacts/traces"))
    traces = read_traces(sorted(artifacts[0].glob("*.parquet")))  # both arms saw the same log ratios here
    sequences = [traces.sequence(index) for index in range(len(traces))]
    for (_, row), kappa in zip(own.iterrows(), (0.5, math.inf), strict=True):
        expected = reference_replay(sequences, q=row["q"], v=row["v"], kappa=kappa, **EPS)
        assert row["clip_fraction"] == expected.clipped / traces.tokens
        assert row["outside_fraction"] == expected.outside / traces.tokens
        assert row["gain_mean"] == pytest.approx(expected.gain_mean, rel=1e-12)
        assert row["autocorrelation"] == pytest.approx(expected.autocorrelation, rel=1e-9)
    assert not (recorded["whole"] / "replay" / "clip_fraction.png").exists()


def test_a_sample_cannot_be_checked_and_a_wrong_log_is_told(recorded: dict[str, Path]) -> None:
    assert "Check: not possible" in _replay(recorded["sampled"], "--grid", "2x2").stdout
    told = _replay(recorded["wrong"], "--grid", "2x2").stdout
    assert "logged values are not reproduced" in told
    assert "kalman/clipped_tokens of clipping_s0, step 2: logged 1000000" in told


def test_nothing_is_overwritten_unasked(recorded: dict[str, Path]) -> None:
    output = recorded["sampled"]
    (output / "replay").mkdir(exist_ok=True)
    (output / "replay" / "mine.txt").write_text("kept")
    refused = _replay(output, "--grid", "2x2")
    assert (refused.exit_code, "--overwrite" in refused.stderr) == (2, True)
    assert (output / "replay" / "mine.txt").read_text() == "kept"
    assert _replay(output, "--grid", "2x2", "--overwrite").exit_code == 0
    assert not (output / "replay" / "mine.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid", "10"], "--grid must be GAINSxTHRESHOLDS"),
        (["--grid", "1x5"], "at least 2 of each"),
        (["--grid", "9999x9999"], "the most is 1,000,000"),
        (["--gain", "0.1"], "--gain must be LOW:HIGH"),
        (["--gain", "0.5:2"], "0 < LOW < HIGH < 1"),
        (["--threshold", "2:1"], "0 < LOW < HIGH"),
        (["--trial", "cliping_s0"], "did you mean 'clipping_s0'?"),
        (["--settings", "missing.csv"], "no such file or directory; give a CSV file"),
        (["--settings", "missing.csv", "--gain", "0.1:0.2"], "leave out --gain"),
    ],
)
def test_a_wrong_request_is_one_message_and_leaves_nothing(
    recorded: dict[str, Path], arguments: list[str], message: str
) -> None:
    output = recorded["wrong"]
    before = sorted(output.iterdir())
    done = _replay(output, *arguments, "--overwrite")
    assert done.exit_code == 2
    assert message in done.stderr
    assert sorted(output.iterdir()) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name the columns q and v"),
        ("q,kappa\n1,1\n", "must name the columns q and v"),
        ("q,v,capa\n1,1,1\n", ":1: unknown column 'capa'; did you mean 'kappa'?"),
        ("q,v\n", "holds no setting"),
        ("q,v\n1,1\n1\n", ":3: 1 values for 2 columns"),
        ("q,v\n1,x\n", ":2: v must be a number, got 'x'"),
        ("q,v\n-1,1\n", ":2: q must be >= 0, got -1"),
        ("q,v\n1,0\n", ":2: v must be > 0, got 0"),
        ("q,v,kappa\n1,1,nan\n", ":2: kappa must be > 0, got nan"),
        ("q,v,rho0\n1,1,inf\n", ":2: rho0 must be finite, got inf"),
        ("\n\nq,v\n\n1,x\n", ":5: v must be a number, got 'x'"),
        ("q;v\n0,5;1\n", ":2: q must be a number, got '0,5'; write decimals with a point"),
        ("q,v\n1,\x00\n", ":2: v must be a number"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(
    recorded: dict[str, Path], tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "list.csv").write_text(text)
    done = _replay(recorded["none"], "--settings", tmp_path / "list.csv")
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffq,v\n1e-6,1\n",
        "q,v\r\n1e-6,1\r\n\r\n",
        "q;v\n1e-6;1\n;\n",
        "\ufeffq\tv\n1e-6\t1\n\n \n",
        "\nq,v\n\n1e-6,1",
    ],
)
def test_a_list_as_spreadsheets_write_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_settings(path) == {"q": [1e-6], "v": [1.0]}


def test_a_study_without_traces_says_why(recorded: dict[str, Path], tmp_path: Path) -> None:
    done = _replay(recorded["none"])
    assert (done.exit_code, "traces.megabytes" in done.stderr) == (2, True)
    assert not (recorded["none"] / "replay.unfinished").exists()
    assert "no mlflow.db" in _replay(tmp_path).stderr
