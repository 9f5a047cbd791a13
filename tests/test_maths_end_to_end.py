r"""The mathematics task from files to report, on small files made here: data, model, verl, vLLM, grading, PDF.

Minutes long. Accuracies mean nothing; what counts is that every benchmark's every sample is graded and kept.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from pypdf import PdfReader

from sweep.store.study_folder import tracking_uri

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = {"math-500": 12, "aime-2024": 5, "aime-2025": 4}


def _run(*arguments: object, cache: Path) -> str:
    program = Path(sys.executable).with_name("iskpo-sweep")
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        env={**os.environ, "ISKPO_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def _write(path: Path, *, count: int, first: int) -> Path:
    rows = [
        {
            "problem": f"Let $x = {first + n}$. What is the remainder when $x$ is divided by $3$?",
            "answer": str((first + n) % 3),
            "subject": "Number Theory" if n % 2 else "Algebra",
            "level": str(1 + n % 5),
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_three_benchmarks_from_files_to_report(tmp_path: Path) -> None:
    cache, output = tmp_path / "cache", tmp_path / "output"
    training = _write(tmp_path / "training.jsonl", count=64, first=100)
    said = _run("data", "fetch", "dapo-math-17k", "--from", training, "--accept-other", cache=cache)
    assert "64 problems; not the published set" in said
    for number, (name, count) in enumerate(BENCHMARKS.items()):
        given = _write(tmp_path / f"{name}.jsonl", count=count, first=1000 * (number + 1))
        _run("data", "fetch", name, "--from", given, "--accept-other", cache=cache)
    assert "near zero" in _run("run", ROOT / "studies" / "maths_smoke.yaml", "--output", output, cache=cache)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiment = client.get_experiment_by_name("maths_smoke")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"maths_smoke", "kpo-strong_s0", "low-gain-clipping_s0"}
    for key in ("kpo-strong_s0", "low-gain-clipping_s0"):
        run = runs[key]
        assert run.info.status == "FINISHED"
        history = client.get_metric_history(run.info.run_id, "reward/mean")
        assert [point.step for point in history] == [1, 2]
        table = pd.read_parquet(client.download_artifacts(run.info.run_id, "samples/step_0002.parquet"))
        assert table.groupby("benchmark")["problem_id"].nunique().to_dict() == BENCHMARKS
        assert set(table["subject"]) == {"Algebra", "Number Theory"}
        assert set(table["level"]) == {"1", "2", "3", "4", "5"}
        for name, rows in table.groupby("benchmark"):
            assert run.data.metrics[f"eval/{name}/avg_at_1"] == pytest.approx(rows["correct"].mean())
            assert run.data.metrics[f"eval/{name}/problems"] == BENCHMARKS[str(name)]
            assert {f"eval/{name}/unparsed", f"eval/{name}/truncated"} <= set(run.data.metrics)
        # Most responses have the form that the model was taught, so they were graded and not merely rejected.
        assert table["parsed"].mean() > 0.3
    text = " ".join(page.extract_text() for page in PdfReader(output / "report" / "report.pdf").pages)
    assert all(name in text for name in BENCHMARKS)
