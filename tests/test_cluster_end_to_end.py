"""Two slots of real verl and vLLM on a Ray cluster of two nodes, one of which is killed: the other finishes the study.

The nodes are Ray's, on one machine: what dies with one is its raylet and every process that it started.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from sweep.store.mlflow_tables import recorded_runs

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

TRIALS = 4
STUDY = """\
name: two_slots
profile: tiny
slots: 2
ray: {{address: '{address}'}}
space: {{kind: grid, q: [1e-6, 1e-4], v: [1], kappa: [.inf, 3]}}
steps: 2
eval: {{samples: 1}}
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head without GPUs, and two nodes with room for one slot each."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_ADDRESS", "CUDA_VISIBLE_DEVICES", "PYTHONDONTWRITEBYTECODE"):
            patch.delenv(name, raising=False)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        size = {"object_store_memory": 200_000_000}
        head = {"num_cpus": 1, "num_gpus": 0, "include_dashboard": False, **size}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            nodes.add_node(num_cpus=8, num_gpus=1, **size)
        yield nodes
        nodes.shutdown()


def test_two_slots_on_two_nodes_and_one_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    study, output = tmp_path / "study.yaml", tmp_path / "output"
    study.write_text(STUDY.format(address=cluster.address))
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep.cli", "run", str(study), "--output", str(output)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    seen, killed = "", False
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
            seen += line
            if not killed and len(set(re.findall(r"(\S+): step 1/2", seen))) >= 2:
                # Both slots train; whichever trial runs on this node is cut off.
                cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
                killed = True
        assert process.wait() == 0, seen[-3000:]
    finally:
        process.kill()
        process.wait()
    assert killed
    # One slot for each node, and none started in vain after the kill, when there is room for one alone.
    assert seen.count("starting verl and vLLM") == 2, seen[-3000:]
    runs = recorded_runs(output, metrics=("kalman/*", "eval/*"))
    assert [(run.state, run.step) for run in runs] == [("finished", 2)] * TRIALS
    assert len({run.trial for run in runs}) == TRIALS
    assert sorted(run.attempts for run in runs) in ([1, 1, 1, 1], [1, 1, 1, 2])
    assert all({"kalman/gain_mean", "eval/arithmetic/avg_at_1"} <= run.metrics.keys() for run in runs)
