"""The command line: exit codes, messages, and that nothing is started or left behind when the input is wrong."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import reports
import sweep.engine
from sweep.commands.cli import app
from sweep.engine import StudyResult
from sweep.input.errors import UserError
from sweep.profiles import profile as profiles

# Runs the command and then reports which of the components it imported: none, when nothing was started.
_DRIVER = """
import sys
from sweep.commands.cli import main
try:
    main()
finally:
    sys.stderr.write("loaded:" + ",".join(sorted({"ray", "verl", "vllm", "mlflow", "torch"} & set(sys.modules))))
"""


def _command(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    variables = {key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "COLUMNS")}
    return subprocess.run(
        [sys.executable, "-c", _DRIVER, *map(str, arguments)],
        cwd=cwd,
        env={**variables, "CUDA_VISIBLE_DEVICES": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _assert_refused(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    message, _, loaded = done.stderr.rpartition("loaded:")
    assert done.returncode == 2, done.stderr
    assert loaded == ""
    assert message.count("error:") == 1
    assert message.startswith("error: ")
    assert "Traceback" not in message
    for part in expected:
        assert part in message


def _invoke(*arguments: object):
    return CliRunner(env={"RAY_ADDRESS": None, "CUDA_VISIBLE_DEVICES": ""}).invoke(app, [str(a) for a in arguments])


@pytest.mark.parametrize(
    ("replace", "expected"),
    [
        ({"steps: 2": "stepz: 2"}, "7: stepz: unknown key; did you mean 'steps'?"),
        ({"steps: 2": "steps: [2"}, "not valid YAML"),
        ({"1e-6,": "-1e-6,"}, "4: space.q[0]: must be >= 0, got -1e-06"),
        ({"v: [1]": "v: [0]"}, "5: space.v[0]: must be > 0, got 0"),
        ({"[inf, 3]": "[inf, 0]"}, "6: space.kappa[1]: must be > 0 (.inf for no clipping), got 0"),
        ({"[inf, 3]": "[inf, -1]"}, "6: space.kappa[1]: must be > 0 (.inf for no clipping), got -1"),
        ({"steps: 2": "steps: 2\nprofile: tyny"}, "8: profile: unknown profile 'tyny'; did you mean 'tiny'?"),
    ],
)
def test_a_wrong_study_is_one_message_and_exit_code_2_and_starts_nothing(write_study, tmp_path, replace, expected):
    path = write_study(replace=replace)
    done = _command("run", path, cwd=tmp_path)
    _assert_refused(done, f"{path}:", expected)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == [path]


def test_the_version_is_that_of_the_newest_entry_of_the_changelog():
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    newest = re.search(r"^## (\S+)", (Path(__file__).parents[3] / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert done.stdout == f"iskpo-sweep {newest[1]}\n"


def test_an_unknown_profile_option_is_refused(write_study, tmp_path):
    path = write_study()
    _assert_refused(_command("run", path, "--profile", "tyny", cwd=tmp_path), "did you mean 'tiny'?")
    assert list(tmp_path.iterdir()) == [path]


def test_an_occupied_port_is_refused(write_study, tmp_path):
    path = write_study()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        _assert_refused(
            _command("run", path, "--ui-port", port, cwd=tmp_path), f"port {port} on 127.0.0.1 cannot be used"
        )
        assert list(tmp_path.iterdir()) == [path]
        (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0")
        _assert_refused(
            _command("ui", tmp_path, "--port", port, cwd=tmp_path), f"port {port} on 127.0.0.1 cannot be used"
        )


def test_a_ray_cluster_that_does_not_answer_is_refused(write_study, tmp_path):
    path = write_study()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
    _assert_refused(
        _command("run", path, "--ray-address", address, cwd=tmp_path), f"no Ray cluster answers at '{address}'"
    )
    _assert_refused(_command("run", path, cwd=tmp_path, RAY_ADDRESS=address), f"no Ray cluster answers at '{address}'")
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_refused(write_study, tmp_path, monkeypatch):
    folder = tmp_path / "profiles"
    folder.mkdir()
    text = (profiles._FOLDER / "tiny.yaml").read_text()
    (folder / "tiny.yaml").write_text("".join(f"{line}\n" for line in text.splitlines() if "free_gb" not in line))
    with (folder / "tiny.yaml").open("a") as file:
        file.write("minimum_free_gb: 1000000000\n")
    monkeypatch.setattr(profiles, "_FOLDER", folder)
    monkeypatch.setattr(sweep.engine, "run_study", lambda **_: pytest.fail("started"), raising=False)
    result = _invoke("run", write_study(), "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert f"not enough disk space in the output folder {tmp_path}" in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_output_that_holds_a_study_is_refused_and_kept(write_study, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    (output / "mlflow.db").write_text("precious")
    done = _command("run", write_study(), "--output", output, cwd=tmp_path)
    _assert_refused(done, f"{output} already holds a study; choose another --output or delete it")
    assert [(path.name, path.read_text()) for path in output.iterdir()] == [("mlflow.db", "precious")]


@pytest.mark.parametrize("verb", ["report", "ui"])
def test_a_folder_without_a_study_is_refused(tmp_path, verb):
    _assert_refused(_command(verb, tmp_path, cwd=tmp_path), "holds no study")
    _assert_refused(_command(verb, tmp_path / "missing", cwd=tmp_path), "is not a folder")


@pytest.mark.parametrize(
    "arguments", [["rum"], ["run"], ["run", "a", "b"], ["plan", "a", "--bad"], ["ui", ".", "--port", "x"]]
)
def test_wrong_usage_is_exit_code_2(tmp_path, arguments):
    done = _command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_missing_study_file_is_refused(tmp_path):
    _assert_refused(_command("run", "studies/nothing.yaml", cwd=tmp_path), "studies/nothing.yaml: no such file")


def test_help_loads_nothing_heavy_and_teaches_exit_codes(tmp_path):
    for arguments in ([], ["run"], ["plan"], ["report"], ["replay"], ["ui"]):
        done = _command(*arguments, "--help", cwd=tmp_path)
        assert done.returncode == 0
        assert done.stderr == "loaded:"
    assert "Exit codes" in _command("--help", cwd=tmp_path).stdout
    code = "import sys, sweep.commands.cli; print(sorted({'pydantic', 'numpy', 'yaml', 'pandas'} & set(sys.modules)))"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert listed.stdout == "[]\n"


def test_plan_prints_the_profile_first_and_starts_nothing(write_study, tmp_path):
    path = write_study()
    done = _command("plan", path, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "loaded:"
    assert re.match(r"Profile (tiny|small-gpu) \(auto; ", done.stdout)
    assert "Q1e-06_V1_kinf" in done.stdout
    assert list(tmp_path.iterdir()) == [path]


def test_plan_survives_a_terminal_that_knows_ascii_alone(write_study, tmp_path):
    done = _command("plan", write_study(), cwd=tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0
    assert "Q1e-06_V1_kinf" in done.stdout


def test_plan_as_json(write_study, tmp_path):
    done = _command("plan", write_study(), "--json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert [trial["key"] for trial in data["trials"]][:2] == ["Q1e-06_V1_kinf_s0", "Q1e-06_V1_k3_s0"]


# The tests below are about what the command does with the engine's answer; tests/end_to_end runs the real engine.


@pytest.fixture
def engine(monkeypatch):
    """Stands where the engine and the report are called from; keeps the calls."""
    calls: list[dict] = []

    def answer(*, failed=(), error: BaseException | None = None, stopped: int | None = None) -> list[dict]:
        def run_study(**arguments):
            calls.append(arguments)
            if error is not None:
                raise error
            (arguments["output"] / "trials").mkdir()
            finished = [trial.key for trial in arguments["plan"] if trial.key not in failed][:stopped]
            return StudyResult(finished=finished, failed=list(failed), stopped=stopped is not None)

        def write_report(*, output, **_):
            calls.append({"report": output})
            return output / "report.pdf"

        monkeypatch.setattr(sweep.engine, "run_study", run_study, raising=False)
        monkeypatch.setattr(reports, "write_report", write_report, raising=False)
        return calls

    return answer


def test_a_study_that_finishes_ends_with_its_report_and_exit_code_0(engine, write_study, tmp_path):
    calls = engine()
    path, output = write_study(), tmp_path / "out"
    result = _invoke("run", path, "--output", output)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].startswith("Profile tiny")
    assert result.stdout.splitlines()[-2:] == [
        str(output / "report.pdf"),
        f"Browse the runs: iskpo-sweep ui {output}",
    ]
    assert len(calls[0]["plan"]) == 4
    assert calls[0]["profile"].name == "tiny"
    assert (output / "study.yaml").read_bytes() == path.read_bytes()
    assert calls[1] == {"report": output}


def test_quiet_prints_the_reports_path_alone(engine, write_study, tmp_path):
    calls = engine()
    result = _invoke("run", write_study(), "--output", tmp_path / "out", "--quiet")
    assert result.output == f"{tmp_path / 'out' / 'report.pdf'}\n"
    assert calls[0]["quiet"] is True


def test_a_failed_trial_is_reported_on_and_ends_with_exit_code_1(engine, write_study, tmp_path):
    calls = engine(failed=["Q1e-06_V1_k3_s0"])
    result = _invoke("run", write_study(), "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert calls[1] == {"report": tmp_path / "out"}
    assert result.stderr == "error: 1 of 4 trials failed: Q1e-06_V1_k3_s0\n"


def test_a_study_that_was_stopped_says_how_to_go_on(engine, write_study, tmp_path):
    calls = engine(stopped=3)
    result = _invoke("run", write_study(), "--output", tmp_path / "out")
    assert result.exit_code == 130
    assert f"iskpo-sweep resume {tmp_path / 'out'}" in result.stderr
    assert calls[1] == {"report": tmp_path / "out"}


@pytest.mark.parametrize("existed", [False, True])
def test_a_study_that_could_not_start_leaves_nothing(engine, write_study, tmp_path, existed):
    engine(error=UserError("the cluster has too few GPUs"))
    output = tmp_path / "out"
    if existed:
        output.mkdir()
    result = _invoke("run", write_study(), "--output", output)
    assert result.exit_code == 2
    assert result.stderr == "error: the cluster has too few GPUs\n"
    assert output.exists() is existed
    assert not existed or list(output.iterdir()) == []


def test_an_interruption_is_exit_code_130_and_says_how_to_go_on(engine, write_study, tmp_path):
    engine(error=KeyboardInterrupt())
    result = _invoke("run", write_study(), "--output", tmp_path / "out")
    assert result.exit_code == 130
    assert f"iskpo-sweep resume {tmp_path / 'out'}" in result.stderr
    assert f"iskpo-sweep report {tmp_path / 'out'}" in result.stderr
    assert (tmp_path / "out").exists()


def test_the_default_output_is_named_by_study_and_time(engine, write_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = engine()
    assert _invoke("run", write_study()).exit_code == 0
    output = calls[0]["output"]
    assert output.parent == Path("output")
    assert output.name.startswith("example-20")
