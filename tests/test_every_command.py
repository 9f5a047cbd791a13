"""Every command under `python -W error` and in a locale of C, on studies and files with characters beyond ASCII.

A warning of this program's is an error, and so is a character that cannot be read, named or shown. `THIRD_PARTIES`
lists the warnings that packages raise by themselves.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from typer.main import get_command

from sweep.commands.cli import app
from sweep.store.study_tracking import StudyTracking
from tests.reports.conftest import ARMS
from tests.reports.conftest import record_study as record_made_up
from tests.sweep.recorded_study import record_study as record_with_traces

pytestmark = pytest.mark.end_to_end

ROOT = Path(__file__).resolve().parents[1]
QUESTION = "Is κ → ∞ “better”, naïvely?"
# As `python -W` takes them, with the reason.
THIRD_PARTIES = {
    "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning": "MLflow 3.17 asks SQLAlchemy 2.1 for it",
}
IN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@dataclass(frozen=True)
class Line:
    """A command line with its exit code, and what is then on standard output or in standard error."""

    line: str
    says: str
    code: int = 0


# Side by side; those of the second list need what the first have left.
FIRST = [
    Line("run replay.yaml --output κ-run", "2 of 2 trials ended"),
    Line("plan replay.yaml", QUESTION),
    Line("plan replay.yml", "did you mean 'replay.yaml'?", code=2),
    Line("init größe.yaml", "größe.yaml written"),
    Line("status made-up", "kpo-strong"),
    Line("report made-up", "made-up/report/report.pdf"),
    Line("export made-up --to täbles --format csv", "täbles/trials.csv"),
    Line("audit ROOT/studies/paper/reported.yaml --all", "κ"),
    Line("grade päirs.jsonl", "row 1: right"),
    Line("replay traces --grid 2x2", "traces/replay"),
    Line("logs made-up", "kpo-strong_s0", code=2),
    Line("doctor --profile tiny --json", "a run opens ports on 127.0.0.1 alone"),
    Line("numerics --q 1e-2 --v 1 --length 64", "64"),
    Line("schema --output schéma.json", "schéma.json written"),
    Line("data fetch math-500 --from prøblems.jsonl --accept-other", "math-500: 30 problems"),
    Line("import verl.db --output impörted", "1 runs imported"),
]
SECOND = [
    Line("resume κ-run", "κ-run"),
    Line("stop κ-run", "nothing runs in κ-run", code=2),
    Line("logs κ-run Q0.0001_V1_kinf_s0", "is a replay", code=2),
    Line("data check math-500", "math-500: 30 problems"),
    Line("report impörted --format html", "impörted/report/report.html"),
]


def _commands() -> list[str]:
    found = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        found += [f"{name} {under}" for under in getattr(command, "commands", {})] or [name]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Studies, stores and files that the command lines name."""
    for name in ("made-up", "traces"):
        (tmp_path / name).mkdir()
    StudyTracking(output=tmp_path / "traces", study="unused")
    shutil.copyfile(tmp_path / "traces" / "mlflow.db", tmp_path / "made-up" / "mlflow.db")
    shutil.copyfile(tmp_path / "traces" / "mlflow.db", tmp_path / "verl.db")
    record_made_up(tmp_path / "made-up", space={**ARMS, "arms": ARMS["arms"][:3]}, question=QUESTION, problems=12)
    record_with_traces(tmp_path / "traces", tokens=20)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'verl.db'}")
    run = client.create_run(client.create_experiment("größe"), run_name="naïve").info.run_id
    echo = {"q": 1e-6, "v": 1.0, "p0": 0.0, "estimator/clip": 1.0, "numerics/exact": 1.0}
    client.log_batch(run, metrics=[Metric(f"kalman/{name}", value, 0, 1) for name, value in echo.items()])
    client.set_terminated(run)
    files = {
        "replay.yaml": f"name: replayed\nquestion: {QUESTION}\nprofile: tiny\ntrial: {{kind: replay, traces: traces}}\n"
        "space: {kind: grid, q: [1.0e-4], v: [1], kappa: [.inf, 3]}\n",
        "päirs.jsonl": '{"truth": "½", "answer": "0.5"}\n{"truth": "κ\u2028", "answer": "naïve"}\n',
        "prøblems.jsonl": "".join(
            f'{{"problem": "Wie viele von {n} Äpfeln sind übrig, gezählt einer nach dem anderen?", "answer": "{n}"}}\n'
            for n in range(100, 130)
        ),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_command_under_errors_for_warnings_and_a_locale_of_c(folder: Path) -> None:
    lines = [Line(f"{command} --help", "Usage:") for command in _commands()]
    named = [one.line for one in (*FIRST, *SECOND)] + ["ui"]
    assert [name for name in _commands() if not any(line.startswith(name) for line in named)] == []
    with ThreadPoolExecutor(max_workers=3) as pool:
        served = pool.submit(_ui, folder)
        complaints = [*pool.map(lambda one: _complaint(one, folder), [*FIRST, *lines])]
        complaints += [*pool.map(lambda one: _complaint(one, folder), SECOND), served.result()]
    assert "\n".join(filter(None, complaints)) == ""


def _start(line: str, folder: Path) -> "subprocess.Popen[bytes]":
    kept = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "PYTHONIOENCODING")}
    return subprocess.Popen(
        [
            *(sys.executable, "-W", "error"),
            *(part for ignored in THIRD_PARTIES for part in ("-W", ignored)),
            str(Path(sys.executable).with_name("iskpo-sweep")),
            *(part.replace("ROOT", str(ROOT)) for part in line.split()),
        ],
        cwd=folder,
        env={**kept, **IN_C, "ISKPO_CACHE": str(folder / "cache"), "CUDA_VISIBLE_DEVICES": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def _complaint(one: Line, folder: Path) -> str:
    """What is wrong with how the command ended, or with what it said; "" where nothing is."""
    with _start(one.line, folder) as process:
        out, error = process.communicate(timeout=1200)
    said, warned = out.decode(), error.decode()
    if process.returncode != one.code or one.says not in said + warned:
        return f"{one} ended with {process.returncode}: {said[-1000:]}{warned[-3000:]}"
    if any(word in warned for word in ("Traceback", "Warning", "Exception ignored")):
        return f"{one}: {warned[-3000:]}"
    return ""


def _ui(folder: Path) -> str:
    """What is wrong with the pages; "" where nothing is. They come, and end with Ctrl-C."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with _start(f"ui made-up --port {port}", folder) as process:
        page, deadline = b"", time.monotonic() + 600
        while not page and process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                    page = answer.read()
            except OSError:
                time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    if b"<title>MLflow</title>" not in page or process.returncode != 130 or b"Traceback" in error:
        return f"ui ended with {process.returncode}: {error.decode()[-3000:]}"
    return ""
