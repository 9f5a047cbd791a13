"""Lets a study's folder be moved or copied: MLflow keeps with each run the absolute address of its artifacts.

``mlflow-artifacts:`` addresses name no place, but need a server wherever a study is run, reported or replayed.
So the addresses are made to follow the folder, by the first command that looks at it in its new place.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from sweep.input.errors import UserError
from sweep.store.study_folder import owner

if TYPE_CHECKING:
    from mlflow.entities import Run

_FOLDER = "artifacts"
_PATIENCE_SECONDS = 10.0


def follow_move(output: Path) -> bool:
    """Give runs the addresses that their artifacts have now; returns whether they had others.

    A study that is running is left alone: who runs it may see the folder under another path, as cluster nodes do.

    Args:
        output: A study's folder.

    Raises:
        UserError: The folder was moved, and its store cannot be written to.
    """
    here = (output.resolve() / _FOLDER).as_uri()
    # Never created here, and only opened for writing when there is something to write.
    address = f"{(output / 'mlflow.db').resolve().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE_SECONDS)) as store:
            before = _elsewhere(store, here)
            if not before or owner(output) is not None:
                return False
            with store:
                for place in before:
                    store.execute(
                        "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (here, place)
                    )
                    store.execute(
                        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
                        "WHERE substr(artifact_uri, 1, ?) = ?",
                        (here, len(place) + 1, len(place) + 1, f"{place}/"),
                    )
    except sqlite3.DatabaseError as error:
        if "readonly" not in str(error):
            return False  # It is being made, or written to by who runs the study, or damaged, which its readers say.
        raise UserError(
            f"{output} was moved or copied, and {output / 'mlflow.db'} cannot be brought up to date ({error}); "
            "copy the folder to where you may write"
        ) from None
    return True


def artifact_folder(run: "Run") -> Path:
    """Where a run's artifacts are: on disk, beside the study's database.

    MLflow's client would make a copy of each in the temporary folder, and leave it there.
    """
    return Path(url2pathname(urlparse(run.info.artifact_uri).path))


def _elsewhere(store: sqlite3.Connection, here: str) -> list[str]:
    """Places of artifacts, of our making, that are not in this folder."""
    rows = store.execute("SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'")
    return [place for (place,) in rows if place != here and place.endswith(f"/{_FOLDER}")]
