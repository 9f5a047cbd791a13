"""`iskpo-sweep logs`: each trial's own part of its slot's log, while it runs and afterwards."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweep.commands.cli import app
from sweep.input.errors import UserError
from sweep.store.study_tracking import StudyTracking
from sweep.store.trial_log import chunks, find_attempt, note_place


def _attempt(output: Path, key: str, text: str, *, number: int = 1, slot: str = "slot-a") -> Path:
    """An attempt as a slot leaves it: a note of the place, then what is printed."""
    log = output / "slots" / slot / "slot.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    folder = output / "trials" / key / f"attempt_{number:02d}"
    note_place(log=log, folder=folder)
    with log.open("a") as file:
        file.write(text)
    return folder


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    trials = [{"key": key} for key in ("a_s0", "b_s0", "c_s0")]
    (folder / "plan.json").write_text(json.dumps({"trials": trials}))
    _attempt(folder, "a_s0", "a1\na2\n")
    _attempt(folder, "b_s0", "b in another slot\n", slot="slot-b")
    _attempt(folder, "b_s0", "b again\nb last\n", number=2)
    return folder


def _logs(*arguments: object):
    return CliRunner().invoke(app, ["logs", *map(str, arguments)])


def test_each_attempt_has_its_own_part(output):
    assert _logs(output, "a_s0").stdout == "a1\na2\n"
    assert _logs(output, "b_s0").stdout == "b again\nb last\n"
    assert _logs(output, "b_s0", "--attempt", 1).stdout == "b in another slot\n"


@pytest.mark.parametrize(
    ("lines", "expected"), [(0, ""), (1, "b last\n"), (2, "b again\nb last\n"), (9, "b again\nb last\n")]
)
def test_the_last_lines_alone(output, lines, expected):
    assert _logs(output, "b_s0", "-n", lines).stdout == expected


def test_a_moved_folder_is_read(output, tmp_path):
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    shutil.move(output, moved)
    assert _logs(moved, "a_s0").stdout == "a1\na2\n"


def test_the_reason_of_a_failure_ends_it(output):
    (output / "trials" / "a_s0" / "attempt_01" / "attempt_01.log").write_text("killed by the machine\nmore\n")
    result = _logs(output, "a_s0")
    assert "a_s0, attempt 1 failed: killed by the machine (all of it:" in result.stderr


def test_following_ends_with_the_attempt(output):
    folder = _attempt(output, "c_s0", "c1\n")
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.extend(chunks(output=output, folder=folder, follow=True)))
    reader.start()
    with (output / "slots" / "slot-a" / "slot.log").open("a") as file:
        file.write("c2\n")
    (folder / "events.jsonl").write_text('{"kind": "progress"}\n{"kind": "finished"}\n')
    reader.join(timeout=30)
    assert not reader.is_alive()
    assert b"".join(seen) == b"c1\nc2\n"


def test_a_trial_that_has_not_begun_is_not_waited_for_when_nobody_runs_the_study(output):
    for arguments in ([], ["--follow"]):
        result = _logs(output, "c_s0", *arguments)
        assert result.exit_code == 2
        assert "trial c_s0 has not begun" in result.stderr


def test_a_trial_that_started_nothing_says_why_it_has_no_log(output, empty_store):
    shutil.copyfile(empty_store, output / "mlflow.db")
    tracking = StudyTracking(output=output, study="small")
    tracking.start_study(name="small", question="Why?", params={"steps": 1})
    begin = {"seed": 0, "params": {}}
    tracking.start_trial(key="a_s0", arm="a", **begin)
    tracking.end_trial(key="a_s0", state="finished")
    tracking.record_twin(key="c_s0", original="a_s0", why="threshold never reached", kappa=3.0, arm="c", **begin)
    assert "was not trained: it is the same as a_s0" in _logs(output, "c_s0").stderr


def test_wrong_names_get_the_nearest(output, tmp_path):
    assert "a_s0\n  b_s0\n  c_s0" in _logs(output).stderr
    assert "did you mean 'a_s0'?" in _logs(output, "a_s").stderr
    assert "has no attempt 3; there are 1, 2" in _logs(output, "b_s0", "--attempt", 3).stderr
    assert "give the --output of a run" in _logs(tmp_path, "a_s0").stderr
    with pytest.raises(UserError, match="has no trial 'x'"):
        find_attempt(output=output, trial="x", attempt=None)


def test_a_run_from_before_places_were_noted_names_its_logs(output):
    (output / "trials" / "a_s0" / "attempt_01" / "log.json").unlink()
    result = _logs(output, "a_s0")
    assert result.exit_code == 2
    assert str(output / "slots" / "slot-a" / "slot.log") in result.stderr
