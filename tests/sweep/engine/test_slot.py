import json
import math
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.engine.slot import Event, EventListener, EventReader, EventWriter, finite_numbers

_EVENTS = st.builds(
    Event,
    kind=st.sampled_from(["progress", "step", "samples", "finished", "failed"]),
    step=st.integers(0, 10**6),
    metrics=st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4),
    text=st.text(max_size=20),
)


@settings(max_examples=50, deadline=None)
@given(events=st.lists(_EVENTS, max_size=8))
def test_what_is_written_is_read_once_and_in_order(events: list[Event], tmp_path_factory: object) -> None:
    path = tmp_path_factory.mktemp("events") / "trial" / "events.jsonl"  # type: ignore[attr-defined]
    reader = EventReader(path)
    assert reader.read() == []
    writer, seen = EventWriter(path), []
    for event in events:
        writer.write(event)
        seen += reader.read()
    writer.close()
    assert seen == events
    assert reader.read() == []


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = json.dumps(Event("step", 1, {"a": 0.5}).__dict__) + "\n"
    reader = EventReader(path)
    path.write_text(line + line[:7])
    assert len(reader.read()) == 1
    path.write_text(line + line)
    assert reader.read() == [Event("step", 1, {"a": 0.5})]


def test_what_a_trial_reported_is_reported_again_as_it_was(tmp_path: Path) -> None:
    first, second = (tmp_path / f"attempt_0{number}" / "events.jsonl" for number in (1, 2))
    writer = EventWriter(first)
    listener = EventListener(writer)
    listener.progress("step", 1)
    listener.traces(first.parent / "traces" / "step_0001.parquet", 1)
    listener.log({"actor/pg_loss": 0.1 + 0.2}, 1)
    listener.samples(first.parent / "evaluations" / "1.jsonl", 1)
    listener.keep(tmp_path / "kept.jsonl")
    listener.progress("step", 2)
    again = EventWriter(second)
    EventListener(again).repeat(tmp_path / "kept.jsonl")
    events = EventReader(second).read()
    assert events == [
        Event("traces", 1, text="attempt_01/traces/step_0001.parquet"),
        Event("step", 1, {"actor/pg_loss": 0.1 + 0.2}),
        Event("samples", 1, text="attempt_01/evaluations/1.jsonl"),
    ]
    measured = [event for event in EventReader(first).read() if event.kind != "progress"]
    assert [event.time for event in events] == [event.time for event in measured]
    assert all(event.time > 0 for event in events)


def test_only_finite_numbers_are_metrics() -> None:
    data = {"a": 1, "b": math.inf, "c": math.nan, "d": "text", "e": None, "f": "2.5"}
    assert finite_numbers(data) == {"a": 1.0, "f": 2.5}
