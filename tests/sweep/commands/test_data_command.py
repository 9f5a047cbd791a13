import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app

LINES = b"".join(
    json.dumps({"problem": f"How many of {n} things are there, counted one by one?", "answer": n}).encode() + b"\n"
    for n in range(100, 130)
)
COMMIT = "c" * 40


@pytest.fixture
def rows_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISKPO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "rows.jsonl"
    path.write_bytes(LINES)
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_fetch_and_check_from_local_files(rows_file):
    code, output = run("fetch", "aime-2025", "--from", str(rows_file))
    assert (code, "not aime-2025" in output, "--accept-other" in output) == (2, True, True)
    for name in ("aime-2025", "dapo-math-17k"):
        code, output = run("fetch", name, "--from", str(rows_file), "--accept-other")
        assert (code, f"{name}: 30 problems; not the published set" in output) == (0, True)
    code, output = run("check", "aime-2025", "dapo-math-17k")
    assert code == 0
    assert "aime-2025 in dapo-math-17k: of 30 problems 30 with the same words, 0 more" in output
    code, output = run("check")
    assert code == 2
    assert "math-500 was not fetched yet; run: iskpo-sweep data fetch math-500" in output
    assert "aime-2024 was not fetched yet" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "--from", "x.jsonl"], "name the one data set"),
        (["fetch", "math-500", "--from", "x.jsonl"], "x.jsonl: no such file"),
        (["fetch", "maths-500", "--from", "x.jsonl"], "did you mean 'math-500'?"),
        (["check", "aime2024"], "did you mean 'aime-2024'?"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(rows_file, arguments, message):
    code, output = run(*arguments)
    assert code == 2
    assert message in output
    assert output.count("\n") == 1


class _Hub(http.server.BaseHTTPRequestHandler):
    """The three answers of the hub that fetching a file takes."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path.startswith("/api/datasets/someone/sums/tree/"):
            files = [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in ("README.md", "test.jsonl")]
            self._answer(200, json.dumps(files).encode(), "application/json")
        elif self.path.startswith("/datasets/someone/sums/resolve/") and self.path.endswith("/test.jsonl"):
            self._answer(200, LINES, "text/plain")
        else:
            self._answer(404, b"{}", "application/json", {"X-Error-Code": "RepoNotFound"})

    def _answer(self, code: int, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(code)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "X-Repo-Commit": COMMIT}
        headers["ETag"] = f'"{hashlib.sha1(body).hexdigest()}"'
        for name, value in {**headers, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def elsewhere(*arguments: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: huggingface_hub reads its settings when it is imported."""
    settings = {"HF_HOME": str(tmp_path / "hf"), "ISKPO_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"}
    return subprocess.run(
        [sys.executable, "-m", "sweep.cli", "data", *arguments],
        env={**os.environ, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_hubs_own_client_fetches_and_the_commit_is_kept(tmp_path, hub):
    asked = ("fetch", "aime-2025", "--accept-other", "--from", "someone/sums")
    done = elsewhere(*asked, tmp_path=tmp_path, HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    assert f"30 problems; not the published set (someone/sums@{COMMIT}:test.jsonl)" in done.stdout
    # Fetched once, it is there without a network.
    again = elsewhere(*asked[:4], f"someone/sums@{COMMIT}:test.jsonl", tmp_path=tmp_path, HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout) == (0, done.stdout)
    gone = elsewhere(*asked[:4], "someone/else:test.jsonl", tmp_path=tmp_path, HF_ENDPOINT=hub)
    assert gone.returncode == 2
    assert "cannot get someone/else@main:test.jsonl from the hub: " in gone.stderr


def test_without_the_hub_the_way_out_is_said(tmp_path):
    done = elsewhere("fetch", "aime-2025", tmp_path=tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert "cannot get math-ai/aime25@563bb84" in done.stderr
    assert "Without access, give a local copy with --from FILE." in done.stderr
    assert "Traceback" not in done.stderr
