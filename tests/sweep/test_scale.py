"""What `benchmarks/scale.py` measures with: streams come out as they went in, and its arithmetic is right."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

import sweep
from benchmarks.event_streams import PlayedSlot, recorded_streams
from benchmarks.multiplied_study import multiply
from benchmarks.scale import Seen, most_at_once, pace
from benchmarks.scale_table import cores_taken, sample_cores, table
from iskpo.verl.checkpoint import Checkpointing
from iskpo.verl.names import LEARNING_RATE, OUTSIDE_SHARE
from sweep.commands.status_view import trial_states
from sweep.engine.slot import Event, EventWriter, SlotSpecification, TrialRequest
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.study_folder import artifact_folder, new_attempt, trial_folder
from sweep.store.study_tracking import StudyTracking

EVENTS = [
    Event("progress", text="starting verl and vLLM", time=1000.0),
    Event("progress", text="ready", time=1060.0),
    Event("traces", 1, text="attempt_02/traces/step_0001.parquet", time=1062.0),
    Event("step", 1, {"actor/lr": 1e-5}, time=1062.5),
    Event("samples", 1, text="attempt_02/evaluations/1.jsonl", time=1063.0),
    Event("finished", time=1063.0),
]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A study of a trial that finished at its second attempt, one that is the same as it, and one that failed."""
    output = tmp_path / "earlier"
    output.mkdir()
    tracking = StudyTracking(output=output, study="earlier")
    tracking.start_study(name="earlier", question="", params={})
    for arm in ("a", "failed"):
        tracking.start_trial(key=f"{arm}_s0", arm=arm, seed=0, params={"kappa": 3.0})
        new_attempt(output, f"{arm}_s0")
        folder = new_attempt(output, f"{arm}_s0")
        (folder / "resolved.yaml").write_text("a: 1\n")
        for name in ("traces", "evaluations"):
            (folder / name).mkdir()
        (folder / "traces" / "step_0001.parquet").write_text("log ratios")
        (folder / "evaluations" / "1.jsonl").write_text("samples")
        writer = EventWriter(folder / "events.jsonl")
        for event in EVENTS:
            writer.write(event)
        tracking.log_metrics(key=f"{arm}_s0", step=1, metrics={"actor/lr": 1e-5})
        tracking.log_traces(key=f"{arm}_s0", path=folder / "traces" / "step_0001.parquet")
        tracking.end_trial(key=f"{arm}_s0", state="failed" if arm == "failed" else "finished")
    tracking.record_twin(key="same_s0", original="a_s0", why="known", kappa=1.0, arm="same", seed=0, params={})
    tracking.end_study(state="failed")
    return output


def test_a_played_slot_writes_what_the_trial_wrote(recorded: Path, tmp_path: Path) -> None:
    streams = recorded_streams(recorded)
    assert list(streams) == ["a"]
    assert streams["a"].seconds == 3.0  # the start of verl is not played
    specification = SlotSpecification("", "", {LEARNING_RATE: 3e-5, f"+{OUTSIDE_SHARE}": 0.0}, {})
    slot = PlayedSlot(specification=specification, folder=tmp_path / "slot", streams=streams, rate=math.inf)
    output = tmp_path / "played"
    folder = new_attempt(output, "a_s7")
    slot.begin(
        TrialRequest(folder=str(folder), overrides={LEARNING_RATE: 1e-4}, seed=7, checkpoints=Checkpointing("", 0, ""))
    )
    read: list[Event] = []
    while not read or read[-1].kind != "finished":
        read += slot.events(patience=30)
    # The same events, but for the attempt that files are of and for what the slot was asked for.
    expected = [replace(event, text=event.text.replace("attempt_02", "attempt_01")) for event in EVENTS]
    expected[3] = replace(expected[3], metrics={"actor/lr": 1e-5, "setting/lr": 1e-4, "loss/outside_share": 0.0})
    assert read == expected
    assert read[0].time > EVENTS[-1].time + 1e6
    held = {event.kind: (trial_folder(output, "a_s7") / event.text).read_text() for event in read if "/" in event.text}
    assert held == {"traces": "log ratios", "samples": "samples"}
    assert (folder / "resolved.yaml").read_text() == "a: 1\n"


def test_a_stream_that_cannot_be_played_ends_its_trial(recorded: Path, tmp_path: Path) -> None:
    streams = recorded_streams(recorded)
    streams["a"].files["attempt_02/evaluations/1.jsonl"].unlink()
    slot = PlayedSlot(
        specification=SlotSpecification("", "", {}, {}), folder=tmp_path / "slot", streams=streams, rate=math.inf
    )
    folder = new_attempt(tmp_path / "played", "a_s0")
    slot.begin(TrialRequest(folder=str(folder), overrides={}, seed=0, checkpoints=Checkpointing("", 0, "")))
    read: list[Event] = []
    while not read or read[-1].kind != "failed":
        read += slot.events(patience=30)
    assert "1.jsonl" in read[-1].text


def test_a_multiplied_study_has_trials_of_its_own(recorded: Path) -> None:
    arm = {"name": "a", "q": 1e-6, "v": 1.0, "kappa": 3.0}
    fields = {"name": "earlier", "profile": "tiny", "space": {"kind": "arms", "arms": [arm]}, "seeds": 3, "steps": 1}
    assert multiply(output=recorded, fields=fields) == 3
    states = {one.trial: one for one in trial_states(recorded)}
    assert {key: one.state for key, one in states.items()} == {f"a_s{seed}": "finished" for seed in range(3)}
    runs = {run.trial: run for run in recorded_runs(recorded, metrics=("*",), params=True)}
    first, last = runs["a_s0"], runs["a_s2"]
    assert (last.name, last.params["seed"], last.tags["iskpo.seed"]) == ("a_s2", "2", "2")
    assert last.run_id != first.run_id
    assert last.metrics == first.metrics != {}
    files = {run.trial: sorted(artifact_folder(recorded, run.run_id).rglob("*.parquet")) for run in (first, last)}
    assert [path.name for path in files["a_s2"]] == [path.name for path in files["a_s0"]] == ["step_0001.parquet"]
    load = sweep.load(recorded)
    assert sorted(load.trials["seed"]) == [0, 0, 0, 1, 2]


def test_the_pace_is_of_the_middle() -> None:
    # Ten events a second, each 2 points and 30 ms of processor time; a slow start and a slow end.
    seen = [Seen(at=number / 10, lag=0.5, metrics=2, spent=0.02, cpu=0.03 * number) for number in range(20)]
    seen = [replace(seen[0], at=-100.0, lag=90.0), *seen[1:-1], replace(seen[-1], at=100.0, lag=90.0)]
    assert pace(seen) == pytest.approx(
        {
            "events_a_second": 10.0,
            "metrics_a_second": 20.0,
            "lag_median": 0.5,
            "lag_largest": 0.5,
            "callback_ms": 20.0,
            "cpu_ms": 30.0,
        }
    )


def test_what_shares_a_moment_is_counted() -> None:
    assert most_at_once([(0, 10), (5, 15), (10, 20), (12, 13)]) == 3
    assert most_at_once([(0, 1), (1, 2)]) == 1
    assert most_at_once([]) == 0


def test_the_driver_s_load_is_that_of_events_and_of_samples() -> None:
    assert cores_taken(trials=100, event_seconds=0.01, sample_cores=0.001, step_seconds=500.0) == pytest.approx(0.11)
    assert sample_cores([{"running": 8, "cores": 0.1}, {"running": 108, "cores": 0.3}]) == pytest.approx(0.002)


def test_the_table_has_what_was_measured_and_nothing_else() -> None:
    rate = {"rate": math.inf, "slots": 4, "offered": math.inf, "events_a_second": 40.0, "metrics_a_second": 500.0}
    rate |= {"lag_median": 1.0, "lag_largest": 2.0, "callback_ms": 5.0, "cpu_ms": 10.0}
    load = [
        {"running": n, "cores": n / 1000, "points_a_second": 0.8 * n, "write_ms": 5.0, "write_largest_ms": 9.0}
        for n in (8, 512)
    ]
    text = table({"rates": [rate], "load": load})
    assert "| all at once | all at once | 40.0 | 500 | 1.00 | 2.00 | 5.0 | 10.0 |" in text
    # 512 x 5 x 0.01 / 500 cores, and 512 x 0.001.
    assert "| 512 | 5.12 | 5.1 | 51.2 |" in text
    assert "nodes" not in text
    assert "report" not in text
