"""Which folder counts as a checkpoint; without verl, whose files stand here for any."""

import json
from pathlib import Path

import pytest

from iskpo.verl.checkpoint import Checkpointing, CheckpointWriter, choose, latest_step, training_settings

_SETTINGS = training_settings({"data.seed": 0, "+trainer.trace_megabytes": 50.0, "data.train_files": ["a"]})


def _plan(folder: Path, **changes: object) -> Checkpointing:
    fields = {"folder": str(folder / "checkpoints"), "every": 2, "notice": str(folder / ".notice"), **changes}
    return Checkpointing(**fields)  # type: ignore[arg-type]


def _write(writer: CheckpointWriter, step: int) -> Path:
    """What verl writes, before it is a checkpoint."""
    folder = writer.writing / f"global_step_{step}"
    (folder / "actor").mkdir(parents=True)
    (folder / "actor" / "model.pt").write_bytes(b"weights" * step)
    (folder / "data.pt").write_bytes(b"order")
    return folder


def _complete(writer: CheckpointWriter, step: int) -> None:
    _write(writer, step)
    writer.complete(step=step, keep=lambda path: path.write_text("events", encoding="utf-8") and None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The checkpoints of a trial, one of step 4 among them."""
    _complete(CheckpointWriter(plan=_plan(tmp_path), settings=_SETTINGS), 4)
    return tmp_path / "checkpoints"


def test_a_trial_without_checkpoints_begins_at_step_0_without_a_word(tmp_path: Path) -> None:
    chosen = choose(tmp_path / "checkpoints", settings=_SETTINGS)
    assert (chosen.path, chosen.step, str(chosen)) == (None, 0, "")
    assert latest_step(tmp_path / "checkpoints") is None


def test_a_complete_checkpoint_is_used_and_brings_what_was_reported(folder: Path) -> None:
    chosen = choose(folder, settings=_SETTINGS)
    assert chosen.path == folder / "global_step_4"
    assert (chosen.path / "events.jsonl").read_text(encoding="utf-8") == "events"
    assert (chosen.step, chosen.refused, str(chosen)) == (4, (), "goes on from step 4")
    assert _plan(folder.parent, resumed=str(chosen.path)).step == 4
    assert latest_step(folder) == 4


def test_the_one_before_goes_once_the_next_is_complete(folder: Path) -> None:
    writer = CheckpointWriter(plan=_plan(folder.parent), settings=_SETTINGS)
    _write(writer, 6)
    assert latest_step(folder) == 4
    writer.complete(step=6, keep=lambda path: path.write_text("events", encoding="utf-8") and None)
    assert [path.name for path in folder.glob("global_step_*")] == ["global_step_6"]


def test_a_half_written_one_is_named_and_the_one_before_used(folder: Path) -> None:
    _write(CheckpointWriter(plan=_plan(folder.parent), settings=_SETTINGS), 6)
    chosen = choose(folder, settings=_SETTINGS)
    assert chosen.step == 4
    assert str(chosen) == "goes on from step 4; the checkpoint of step 6 is half written and not used"
    # The next attempt makes room.
    CheckpointWriter(plan=_plan(folder.parent), settings=_SETTINGS)
    assert str(choose(folder, settings=_SETTINGS)) == "goes on from step 4"


@pytest.mark.parametrize("harm", ["shorter", "missing", "no manifest", "half a manifest"])
def test_one_that_lost_a_part_is_named_and_not_used(folder: Path, harm: str) -> None:
    checkpoint = folder / "global_step_4"
    manifest = checkpoint / "manifest.json"
    if harm == "shorter":
        (checkpoint / "actor" / "model.pt").write_bytes(b"weights")
    elif harm == "missing":
        (checkpoint / "data.pt").unlink()
    elif harm == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text(encoding="utf-8")[:20], encoding="utf-8")
    chosen = choose(folder, settings=_SETTINGS)
    assert (chosen.path, chosen.step) == (None, 0)
    assert str(chosen) == "begins at step 0; the checkpoint of step 4 is not complete and not used"
    assert latest_step(folder) is None


def test_one_of_other_settings_is_named_with_what_differs(folder: Path) -> None:
    settings = {**_SETTINGS, "data.seed": 1, "data.train_batch_size": 8}
    chosen = choose(folder, settings=settings)
    assert chosen.path is None
    assert str(chosen) == (
        "begins at step 0; "
        "the checkpoint of step 4 is of other settings (data.seed, data.train_batch_size) and not used"
    )


def test_where_an_attempt_keeps_its_files_is_no_setting() -> None:
    places = {"+trainer.trace_folder": "attempt_01/traces", "trainer.validation_data_dir": "attempt_01/evaluations"}
    installed = {"reward.custom_reward_function.path": "environment/sweep/tasks/arithmetic/reward.py"}
    assert training_settings({"data.seed": 3, **places, **installed}) == {"data.seed": 3}


def test_when_one_is_due(tmp_path: Path) -> None:
    writer = CheckpointWriter(plan=_plan(tmp_path), settings={})
    assert [step for step in range(1, 7) if writer.due(step)] == [2, 4, 6]
    assert not writer.to_end
    (tmp_path / ".notice").touch()
    assert writer.to_end
    assert writer.due(5)
    without = CheckpointWriter(plan=_plan(tmp_path, every=0), settings={})
    assert not without.to_end
    assert not any(without.due(step) for step in range(1, 7))


def test_time_adds_up_over_attempts(folder: Path) -> None:
    manifest = folder / "global_step_4" / "manifest.json"
    fields = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**fields, "seconds": 1000.0}), encoding="utf-8")
    chosen = choose(folder, settings=_SETTINGS)
    assert chosen.seconds == 1000.0
    writer = CheckpointWriter(plan=_plan(folder.parent, resumed=str(chosen.path)), settings=_SETTINGS)
    _complete(writer, 6)
    assert 1000.0 <= choose(folder, settings=_SETTINGS).seconds < 1100.0
