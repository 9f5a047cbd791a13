"""Two studies that are started at the same moment on one machine know nothing of each other.

Ray's, TransferQueue's, torch's and vLLM's ports and sockets, shared memory and temporary files: each has its own.
"""

import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from sweep.store.study_folder import tracking_uri
from tests.sweep.fault_runs import STUDY, TRIALS
from tests.sweep.running_study import MARK, left_behind, orphaned_files

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]


def _metrics(output: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiment = client.get_experiment_by_name("smoke")
    assert experiment is not None
    return {
        str(run.info.run_name): {
            name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
            if name.startswith(("kalman/", "innovation/", "reward/", "eval/", "actor/grad_norm"))
        }
        for run in client.search_runs([experiment.experiment_id])
        if run.info.run_name in TRIALS
    }


def test_two_studies_side_by_side_are_two_studies_alone(tmp_path: Path) -> None:
    outputs, mark, shared = [tmp_path / "first", tmp_path / "second"], uuid.uuid4().hex, orphaned_files()
    program = Path(sys.executable).with_name("iskpo-sweep")
    # Both use it; not pytest's, in which the path of a Unix socket would be too long.
    with tempfile.TemporaryDirectory(prefix="sbs-") as temporary:
        environment = {**os.environ, MARK: mark, "TMPDIR": temporary}
        processes = []
        for output in outputs:
            with output.with_suffix(".log").open("w", encoding="utf-8") as log:
                command = [program, "run", STUDY, "--output", output]
                processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        codes = [process.wait(timeout=2400) for process in processes]
        said = [output.with_suffix(".log").read_text(encoding="utf-8") for output in outputs]
        assert codes == [0, 0], said
        assert not any("attempt failed" in text for text in said), said
        assert left_behind(mark) == []
        assert list(Path(temporary).iterdir()) == []
        assert orphaned_files() - shared == set()
    first, second = map(_metrics, outputs)
    assert set(first) == set(TRIALS)
    assert all(first.values())
    # Each of the two has what it would have alone, to the last bit.
    assert first == second
