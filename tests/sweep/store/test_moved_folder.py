"""A study's folder is copied and the first one deleted: everything that reads artifacts finds them in the new place."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

import sweep
from sweep.input.errors import UserError
from sweep.store.study_folder import owned, tracking_uri
from sweep.store.study_store import follow_move, require_study


@pytest.fixture
def moved(recorded, tmp_path):
    """A copy, where a pattern's characters and a blank are in the path."""
    return shutil.copytree(recorded, tmp_path / "other 100%_place" / "out")


def _addresses(output) -> set[str]:
    with closing(sqlite3.connect(output / "mlflow.db")) as store:
        runs = store.execute("SELECT artifact_uri FROM runs")
        experiments = store.execute("SELECT artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'")
        return {address for (address,) in [*runs, *experiments]}


def test_every_address_follows_the_folder_and_the_first_folder_keeps_its_own(recorded, moved):
    before, here = _addresses(recorded), (moved / "artifacts").as_uri()
    assert _addresses(moved) == before
    require_study(moved)
    assert all(address.startswith(here) for address in _addresses(moved))
    assert _addresses(recorded) == before
    # Twice changes nothing, and a move back is followed as well.
    assert not follow_move(moved)
    assert follow_move(moved.rename(moved.with_name("again")))


def test_mlflow_reads_in_the_new_place(moved):
    run = sweep.load(moved).runs["clips_s0"]
    (moved / "artifacts" / run.run_id / "artifacts" / "samples" / "new.txt").write_text("only here")
    client = MlflowClient(tracking_uri=tracking_uri(moved))
    found = sorted(entry.path for entry in client.list_artifacts(run.run_id, "samples"))
    assert found == ["samples/new.txt", "samples/step_0002.parquet"]
    assert Path(client.download_artifacts(run.run_id, "samples/new.txt")).read_text(encoding="utf-8") == "only here"


def test_a_study_that_runs_is_left_alone(moved):
    before = _addresses(moved)
    with owned(moved):
        assert not follow_move(moved)
    assert _addresses(moved) == before


def test_what_cannot_be_written_is_said(moved, monkeypatch):
    real = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda address, **options: real(address.replace("mode=rw", "mode=ro"), **options)
    )
    with pytest.raises(UserError, match=r"was moved or copied, and .* cannot be brought up to date"):
        follow_move(moved)
