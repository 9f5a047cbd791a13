"""How much one driver carries: recorded event streams played into it, N times as fast as they were trained.

What the driver does is the product's own, from `run_study` on: Ray Tune, trial runners that read a slot's events and
check its echo, the callback that writes to MLflow's store, the report. The slots alone are stand-ins, which write what
real trials of a finished study wrote (`benchmarks/event_streams.py`). Four parts, by name; each is kept in
``OUTPUT.json`` when it has ended, and ``OUTPUT.md`` is written anew from all that are there:

- *rates*: N doubles until the driver falls behind, and then everything at once;
- *trials*: a study of as many trials as are asked for, in steps (`benchmarks/multiplied_study.py`): what the store
  takes, how long `status` and the report take, and whether the driver is slower with such a store;
- *load*: 8, 64 and 512 trials that run and say nothing: what MLflow's samples of the machine cost;
- *nodes*: replays in 64 slots on a cluster of several nodes, all of them on this machine.

    python benchmarks/scale.py rates trials load nodes --recorded output/qv_kappa-20261126-191816
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from typing_extensions import override

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.event_streams import playing_runner, recorded_streams
from benchmarks.multiplied_study import multiply
from benchmarks.scale_table import table
from sweep.engine import run_study, training
from sweep.engine.ray_cluster import REPLAY
from sweep.engine.recording import Recording
from sweep.profiles.profile import resolve_profile
from sweep.store.metric_names import browsable
from sweep.store.mlflow_tables import open_tables, recorded_runs
from sweep.store.study_folder import DATABASE, STUDY_FILE, read_plan
from sweep.store.study_tracking import StudyTracking
from sweep.store.undelivered import Delivered, what_is_lacking
from sweep.study.plan import plan_trials
from sweep.study.study import Study, load_study

_SLOTS = 4
_RATES = (4.0, 8.0, 16.0, 32.0, 64.0, float("inf"))
_SECONDS_A_RATE = 10.0
_RUNNING = (8, 64, 512)
_LOAD_SECONDS, _WRITES = 30.0, 50


@dataclass(frozen=True)
class Seen:
    """One event that the driver has recorded.

    Attributes:
        at: When, seconds since 1970.
        lag: Seconds since it was written.
        metrics: How many points it added to MLflow.
        spent: Seconds in the callback.
        cpu: Seconds of processor time that the driver had taken by then.
    """

    at: float
    lag: float
    metrics: int
    spent: float
    cpu: float


SEEN: list[Seen] = []


class TimedRecording(Recording):
    """The driver's callback, timed."""

    @override
    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        """Record, and note how long it took."""
        event, began = result["event"], time.time()
        super().on_trial_result(iteration, trials, trial, result, **info)
        now = time.time()
        SEEN.append(
            Seen(now, now - event["time"], len(browsable(dict(event["metrics"]))), now - began, time.process_time())
        )


def played_study(recorded: Path, *, seeds: int, slots: int) -> dict[str, Any]:
    """A study of the arms that a finished one has streams of, as its file."""
    known, streams = load_study(recorded / STUDY_FILE, begun=True), recorded_streams(recorded)
    arms = [trial.arm for trial in plan_trials(known) if trial.arm.name in streams and trial.seed == known.seeds[0]]
    return {
        "name": "scale",
        "profile": str(read_plan(recorded)["profile"]),
        "space": {"kind": "arms", "arms": [{"name": a.name, "q": a.q, "v": a.v, "kappa": a.kappa} for a in arms]},
        "seeds": seeds,
        "steps": known.steps,
        "slots": slots,
        "twins": "train",
        "eval": {"samples": known.eval.samples, "every": known.eval.every, "untrained": known.eval.untrained},
    }


def play(recorded: Path, *, output: Path, trials: int, slots: int, rate: float) -> list[Seen]:
    """Run so many trials of played streams, those included that the folder has already; returns what was recorded."""
    arms = len(recorded_streams(recorded))
    fields = played_study(recorded, seeds=-(-trials // arms), slots=slots)
    resumed = (output / DATABASE).exists()
    output.mkdir(parents=True, exist_ok=True)
    (output / STUDY_FILE).write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    study = Study.model_validate(fields)
    product: Any = training
    product.TrialRunner, product.Recording = playing_runner(recorded=recorded, rate=rate), TimedRecording
    # A trial takes one CPU here: Ray starts a process for every logical CPU that verl would need.
    product.slot_bundles = lambda _: REPLAY
    profile = resolve_profile(study.profile)
    SEEN.clear()
    result = run_study(
        study=study,
        plan=plan_trials(study),
        profile=profile.model_copy(update={"ray": profile.ray.model_copy(update={"logical_cpus": 1})}),
        output=output,
        quiet=True,
        resume=resumed,
    )
    assert len(result.finished) == arms * len(study.seeds), result
    return list(SEEN)


def pace(seen: list[Seen]) -> dict[str, float]:
    """What the driver did a second, and what an event took it; without the first and last tenth of the events.

    Args:
        seen: In order; more than ten.
    """
    edge = len(seen) // 10
    first, *middle = seen[edge : len(seen) - edge]
    seconds, number = middle[-1].at - first.at, len(middle)
    lags = sorted(one.lag for one in middle)
    return {
        "events_a_second": number / seconds,
        "metrics_a_second": sum(one.metrics for one in middle) / seconds,
        "lag_median": statistics.median(lags),
        "lag_largest": lags[-1],
        "callback_ms": 1000 * sum(one.spent for one in middle) / number,
        "cpu_ms": 1000 * (middle[-1].cpu - first.cpu) / number,
    }


def measure_rates(recorded: Path, folder: Path) -> list[dict[str, float]]:
    """The driver's pace at each rate; the first that it does not keep is the last before all at once."""
    streams = recorded_streams(recorded).values()
    seconds = statistics.fmean(stream.seconds for stream in streams)
    events = statistics.fmean(len(stream.events) for stream in streams)
    rows: list[dict[str, float]] = []
    for rate in _RATES:
        if rows and rate < float("inf") and rows[-1]["events_a_second"] < 0.9 * rows[-1]["offered"]:
            continue
        trials = max(2 * _SLOTS, round(_SLOTS * min(rate, 32.0) * _SECONDS_A_RATE / seconds))
        seen = play(recorded, output=folder / f"rate_{rate:g}", trials=trials, slots=_SLOTS, rate=rate)
        rows.append({"rate": rate, "slots": _SLOTS, "offered": _SLOTS * rate * events / seconds, **pace(seen)})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def measure_trials(recorded: Path, folder: Path, *, counts: list[int]) -> list[dict[str, float]]:
    """A study that grows: its size, how long reading it takes, and the pace with which further trials are added."""
    output, rows = folder / "trials", list[dict[str, float]]()
    arms = len(recorded_streams(recorded))
    for count in (0, *counts):
        trials = 0
        if count:
            fields = played_study(recorded, seeds=-(-count // arms), slots=_SLOTS)
            trials = multiply(output=output, fields=fields)
            rows.append({"trials": trials, **_sizes(output), **_reading(output)})
        if count in (0, counts[-1]):
            seen = play(recorded, output=output, trials=trials + 3 * arms, slots=_SLOTS, rate=float("inf"))
            rows.append({"trials": trials + 3 * arms, **_sizes(output), **pace(seen)})
        print(json.dumps(rows), flush=True)
    return rows


def _sizes(output: Path) -> dict[str, float]:
    folders = {f"{name}_bytes": _size(output / name) for name in ("artifacts", "trials", "tune")}
    return {"points": _points(output), "store_bytes": (output / DATABASE).stat().st_size, **folders}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _reading(output: Path) -> dict[str, float]:
    """Seconds of processor time of what reads a study, and the report's memory."""
    known = {
        run.run_id: Delivered(run.run_id, "", str(run.attempts), status=run.status, tags=run.tags)
        for run in recorded_runs(output)
    }
    began = time.process_time()
    what_is_lacking(output, known)
    looked = time.process_time() - began
    status, as_json = (min(_command("status", str(output), *how)[0] for _ in range(3)) for how in ((), ("--json",)))
    report, memory = _command("report", str(output))
    return {"delivery": looked, "status": status, "status_json": as_json, "report": report, "report_gib": memory}


def _command(*arguments: str) -> tuple[float, float]:
    """Seconds of processor time of a command of iskpo-sweep, and the largest memory of any so far, GiB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "sweep.cli", *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, after.ru_maxrss / 1024**2


def measure_load(folder: Path) -> list[dict[str, float]]:
    """So many trials that run: processor time of the samples of the machine, and what the driver's writes take then."""
    rows = []
    for running in _RUNNING:
        output = folder / f"load_{running}"
        output.mkdir()
        tracking = StudyTracking(output=output, study="load")
        tracking.start_study(name="load", question="", params={})
        for number in range(running):
            tracking.start_trial(key=f"t{number}", arm="a", seed=number, params={})
        points, began, cpu = _points(output), time.monotonic(), time.process_time()
        time.sleep(_LOAD_SECONDS)
        seconds, used, points = time.monotonic() - began, time.process_time() - cpu, _points(output) - points
        writes = []
        for number in range(_WRITES):
            start = time.monotonic()
            metrics = {f"actor/m{index}": 1.0 for index in range(70)}
            tracking.log_metrics(key=f"t{number % running}", step=number, metrics=metrics)
            writes.append(time.monotonic() - start)
            time.sleep(0.1)
        rows.append(
            {
                "running": running,
                "cores": used / seconds,
                "points_a_second": points / seconds,
                "write_ms": 1000 * statistics.median(writes),
                "write_largest_ms": 1000 * max(writes),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
        tracking.end_study(state="finished")
    return rows


def _points(output: Path) -> int:
    with open_tables(output) as tables:
        return int(tables.execute("SELECT COUNT(*) FROM metrics").fetchone()[0])


def measure_nodes(recorded: Path, folder: Path, *, slots: int, nodes: int) -> dict[str, float]:
    """Replays in so many slots, on Ray's nodes of one machine; ends by itself, or fails after twenty minutes."""
    from ray.cluster_utils import Cluster

    output, study, trials = folder / "nodes", folder / "nodes.yaml", 8 * slots
    size = {"object_store_memory": 80_000_000, "num_gpus": 0}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **size})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=slots // nodes, **size)
        gains = np.geomspace(1e-3, 0.5, trials).tolist()
        fields = {
            "name": "nodes",
            "slots": slots,
            "trial": {"kind": "replay", "traces": str(recorded.resolve())},
            "space": {"kind": "decoupled", "gain": gains, "threshold": [0.3], "kappa": [3]},
            "ray": {"address": cluster.address},
        }
        study.write_text(yaml.safe_dump(fields), encoding="utf-8")
        began = time.time()
        subprocess.run(
            [sys.executable, "-m", "sweep.cli", "run", str(study), "--output", str(output)], check=True, timeout=1200
        )
        seconds = time.time() - began
    finally:
        cluster.shutdown()
    runs = recorded_runs(output)
    return {
        "slots": slots,
        "nodes": nodes,
        "trials": len(runs),
        "finished": sum(run.state == "finished" for run in runs),
        "at_once": most_at_once([(run.start_time, run.end_time or 0) for run in runs]),
        "seconds": seconds,
        "first_end": min(run.end_time or 0 for run in runs) / 1000 - began,
    }


def most_at_once(intervals: list[tuple[int, int]]) -> int:
    """How many of the intervals share a moment, at most; one that ends when another begins does not share it."""
    changes = sorted([(end, -1) for _, end in intervals] + [(begin, 1) for begin, _ in intervals])
    running = np.cumsum([change for _, change in changes])
    return int(running.max(initial=0))


def main() -> None:
    """Measure what is asked for, and write the table of all that is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["rates", "trials", "load", "nodes"], help="none: the table alone")
    parser.add_argument("--recorded", type=Path, help="folder of a finished study of IS-KPO arms; it is only read")
    parser.add_argument("--counts", type=int, nargs="+", default=[250, 1000], help="trials [250 1000]")
    parser.add_argument("--slots", type=int, default=64, help="slots on the nodes [64]")
    parser.add_argument("--nodes", type=int, default=4, help="nodes, without the head [4]")
    parser.add_argument("--keep", type=Path, help="folder for the studies, which stay [a temporary one]")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(""), help="[benchmarks/scale]")
    chosen = parser.parse_args()
    file = chosen.output.with_suffix(".json")
    known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if chosen.parts and chosen.parts != ["load"] and chosen.recorded is None:
        parser.error("--recorded is needed")
    with tempfile.TemporaryDirectory(prefix="iskpo-scale-") as temporary:
        folder, recorded = (chosen.keep or Path(temporary)).resolve(), chosen.recorded and chosen.recorded.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        # As in a checkout whose environment is on.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [sys.path[0], os.environ.get("PYTHONPATH")]))
        measures: dict[str, Callable[[], Any]] = {
            "rates": lambda: measure_rates(recorded, folder),
            "trials": lambda: measure_trials(recorded, folder, counts=chosen.counts),
            "load": lambda: measure_load(folder),
            "nodes": lambda: measure_nodes(recorded, folder, slots=chosen.slots, nodes=chosen.nodes),
        }
        for part in chosen.parts:
            known[part] = measures[part]()
            file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    chosen.output.with_suffix(".md").write_text(table(known), encoding="utf-8")


if __name__ == "__main__":
    main()
