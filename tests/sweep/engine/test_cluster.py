"""A study on a Ray cluster of several nodes: what is refused, where trials run, and a node that is killed."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster
from typer.testing import CliRunner, Result

from sweep.commands.cli import app
from sweep.store.mlflow_tables import recorded_runs
from tests.sweep.recorded_study import record_study

ARMS, KILLED_AT = 40, 8
STUDY = f"""\
name: spread
profile: tiny
slots: 2
trial: {{kind: replay, traces: earlier}}
space:
  kind: decoupled
  gain: [{", ".join(f"{0.01 * (1 + number):g}" for number in range(ARMS))}]
  threshold: [0.3]
  kappa: [3]
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that runs no trial, and two nodes with room for one replay each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        size = {"object_store_memory": 80_000_000, "num_gpus": 0}
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **size})
        for _ in range(2):
            nodes.add_node(num_cpus=1, **size)
        yield nodes
        nodes.shutdown()


def _invoke(*arguments: object) -> Result:
    return CliRunner(env={"RAY_ADDRESS": None}).invoke(app, [str(a) for a in arguments], catch_exceptions=False)


def _kill_a_node(cluster: Cluster, output: Path) -> None:
    recorded = 0
    while recorded < KILLED_AT:
        time.sleep(0.01)
        with contextlib.suppress(sqlite3.OperationalError):  # the store is not there yet
            recorded = len(recorded_runs(output))
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)


def test_a_node_is_killed_and_the_other_finishes_the_study(cluster: Cluster, tmp_path: Path) -> None:
    record_study(tmp_path / "earlier")
    study, output = tmp_path / "study.yaml", tmp_path / "output"
    study.write_text(f"{STUDY}ray: {{address: '{cluster.address}'}}\n")
    killer = threading.Thread(target=_kill_a_node, args=(cluster, output), daemon=True)
    killer.start()
    done = _invoke("run", study, "--output", output)
    assert done.exit_code == 0, done.output[-3000:]
    killer.join(timeout=60)
    assert len(cluster.list_all_nodes()) == 2
    runs = recorded_runs(output)
    assert len({run.trial for run in runs}) == len(runs) == ARMS
    assert {run.state for run in runs} == {"finished"}
