"""Runs that verl's own logger made: the arm comes from the loss's echo, and what is missing is said."""

import contextlib
import http.server
import math
import shutil
import sqlite3
import threading
import time

import pytest
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
from typer.testing import CliRunner

import sweep
from sweep.commands.cli import app
from sweep.input.errors import UserError
from sweep.store.imported_runs import MISSING, arm_of

ECHO = {
    "kalman/q": 1e-6,
    "kalman/v": 1e-2,
    "kalman/p0": 0.0,
    "kalman/estimator/clip": 1.0,
    "kalman/numerics/exact": 1.0,
}
# As verl flattens its configuration.
PARAMS = {"data/seed": "7", "actor_rollout_ref/model/path": "models/mine"}


@pytest.fixture(scope="module")
def store(tmp_path_factory, empty_store):
    """Two runs of one arm with one seed, one that clips and was cut off, and one of another loss."""
    path = tmp_path_factory.mktemp("theirs") / "theirs.db"
    shutil.copyfile(empty_store, path)
    client = MlflowClient(tracking_uri=f"sqlite:///{path}")
    experiment = client.create_experiment("mine")
    for name, metrics, status in (
        ("first", ECHO, "FINISHED"),
        ("again", ECHO | {"kalman/kappa": math.inf}, "FINISHED"),
        ("clipping", ECHO | {"kalman/kappa": 3.0}, "KILLED"),
        ("other", {"actor/pg_loss": 1.0}, "FINISHED"),
    ):
        run = client.create_run(experiment, run_name=name).info.run_id
        entries = [
            Metric(key, value, 0, step)
            for step in (1, 2)
            for key, value in {**metrics, "critic/score/mean": 0.1 * step}.items()
        ]
        client.log_batch(run, metrics=entries, params=[Param(*item) for item in PARAMS.items()])
        client.set_terminated(run, status)
    return path


def test_runs_become_a_study_that_says_what_is_missing(store, tmp_path, empty_store):
    output = tmp_path / "imported"
    result = CliRunner().invoke(app, ["import", str(store), "--experiment", "mine", "--output", str(output)])
    assert result.exit_code == 0, result.output
    assert "left out other: no metric kalman/q" in result.output
    study = sweep.load(output)
    assert study.question == MISSING
    trials = study.trials.set_index("trial")
    # The same arm with the same seed is a repetition.
    assert trials["state"].to_dict() == {
        "Q1e-06_V0.01_kinf_s7": "finished", "Q1e-06_V0.01_kinf_s8": "finished", "Q1e-06_V0.01_k3_s7": "failed",
    }  # fmt: skip
    assert trials["reason"].iloc[2] == "the imported run ended as KILLED"
    assert trials["kappa"].tolist() == [math.inf, math.inf, 3.0]
    assert trials["model"].eq("models/mine").all()
    assert study.steps["reward/mean"].tolist() == [0.1, 0.2] * 3
    assert study.samples.empty
    # The same as of any run, from the folder alone.
    status = CliRunner().invoke(app, ["status", str(output)])
    assert "2 finished, 1 failed" in status.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--experiment", "mien"], "did you mean 'mine'?"),
        ([], "the store has no run"),
    ],
)
def test_a_wrong_experiment_is_refused_and_leaves_nothing(store, empty_store, tmp_path, arguments, message):
    given = store if arguments else empty_store
    result = CliRunner().invoke(app, ["import", str(given), *arguments, "--output", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_a_store_that_is_none_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["import", str(tmp_path), "--output", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "no SQLite file of MLflow" in result.output


def test_a_folder_with_spaces_gives_the_study_its_name(store, tmp_path):
    output = tmp_path / "my runs (2)"
    arguments = ["import", str(store), "--experiment", "mine", "--output", str(output)]
    refused = CliRunner().invoke(app, [*arguments, "--name", "my runs"])
    assert refused.exit_code == 2
    assert refused.stderr == "error: --name 'my runs': letters, digits and . _ - alone, 60 at most, such as my_runs\n"
    assert not output.exists()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert sweep.load(output).name == "my_runs_2_"


def _refused(store, output) -> str:
    result = CliRunner().invoke(app, ["import", str(store), "--output", str(output)])
    assert result.exit_code == 2, result.output
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert not output.exists()
    return result.stderr


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE notes (text)", "no SQLite file of MLflow: it has no table alembic_version"),
        ("CREATE TABLE alembic_version (version_num)", "no SQLite file of MLflow: it has no table experiments"),
        (None, "`mlflow db upgrade sqlite:///COPY`"),
    ],
)
def test_a_file_of_another_program_or_version_is_not_touched(tmp_path, empty_store, statement, reason):
    foreign = tmp_path / "why? 100%20.db"
    if statement is None:
        shutil.copyfile(empty_store, foreign)
    with contextlib.closing(sqlite3.connect(foreign)) as tables, tables:
        tables.execute(statement or "UPDATE alembic_version SET version_num = '1b5f0d9ad7c1'")
    before = foreign.read_bytes()
    assert reason in _refused(foreign, tmp_path / "out")
    assert reason in _refused(f"sqlite:///{str(foreign).replace('%', '%25')}", tmp_path / "out")
    assert foreign.read_bytes() == before
    assert list(tmp_path.iterdir()) == [foreign]


def test_a_file_that_is_imported_is_not_touched(store, tmp_path):
    foreign = tmp_path / "why?.db"
    shutil.copyfile(store, foreign)
    with contextlib.closing(sqlite3.connect(foreign)) as tables, tables:
        # Without its own experiment, which `mlflow gc` takes away, MLflow would write it anew.
        tables.execute("DELETE FROM experiments WHERE experiment_id = 0")
    foreign.chmod(0o400)
    before = foreign.read_bytes()
    result = CliRunner().invoke(app, ["import", str(foreign), "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert foreign.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "why?.db"]


def test_runs_kept_as_files_are_to_be_migrated(tmp_path):
    experiment = tmp_path / "mlruns" / "0"
    experiment.mkdir(parents=True)
    (experiment / "meta.yaml").touch()
    for given in (tmp_path, tmp_path / "mlruns", f"file://{tmp_path}/mlruns"):
        assert f"`mlflow migrate-filestore --source {tmp_path}" in _refused(given, tmp_path / "out")


class _Silent(http.server.SimpleHTTPRequestHandler):
    def do_POST(self) -> None:
        if self.server.server_name == "login":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Who are you?</html>")
        else:
            self.send_error(501)

    def log_message(self, *_) -> None:
        pass


def test_a_server_that_is_none_is_given_up_soon_and_its_password_not_shown(tmp_path, address):
    given = address.replace("http://", "http://me:top@secret@")
    began = time.monotonic()
    message = _refused(given, tmp_path / "out")
    assert "the store cannot be read" in message
    assert "secret" not in message
    message = _refused("postgresql://me:secret@host/runs", tmp_path / "out")
    assert "error: postgresql://host/runs is not read directly; start `mlflow server" in message
    # Something that answers, and is not MLflow.
    port = int(address.rpartition(":")[2])
    with http.server.HTTPServer(("127.0.0.1", port), _Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for server.server_name in ("other", "login"):
            assert "the store cannot be read" in _refused(address, tmp_path / "out")
        server.shutdown()
    assert time.monotonic() - began < 60


def test_the_echo_decides_the_arm():
    largest = 1.7976931348623157e308  # what MLflow's databases keep of infinity
    arm = arm_of(metrics=ECHO | {"kalman/kappa": largest, "kalman/p0": 0.5}, params={})
    assert (arm.name, arm.kappa, arm.p0) == ("Q1e-06_V0.01_kinf_P0.5", math.inf, 0.5)
    public = {key: value for key, value in ECHO.items() if "numerics" not in key}
    assert arm_of(metrics=public | {"kalman/numerics/public-cumsum-fp32": 1.0}, params={}).numerics == (
        "public-cumsum-fp32"
    )
    loss = "actor_rollout_ref/actor/policy_loss/"
    other = arm_of(metrics=ECHO, params={f"{loss}gradient": "through", f"{loss}rho0": "0.25"})
    assert (other.gradient, other.rho0) == ("through", 0.25)
    # What the loss says of itself goes before its configuration.
    echo = ECHO | {"kalman/rho0": 0.5, "kalman/gradient/straight_through": 1.0}
    own = arm_of(metrics=echo, params={f"{loss}gradient": "through", f"{loss}rho0": "0.25"})
    assert (own.gradient, own.rho0) == ("straight_through", 0.5)
    with pytest.raises(UserError, match="did not report v"):
        arm_of(metrics={"kalman/q": 1.0, "kalman/p0": 0.0}, params={})
    with pytest.raises(UserError, match="several of estimator"):
        arm_of(metrics=ECHO | {"kalman/estimator/huber": 1.0}, params={})
