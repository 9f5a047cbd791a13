"""Whether a folder holds a study, and the address of its MLflow store."""

from pathlib import Path

from sweep.input.errors import UserError
from sweep.store.artifact_addresses import follow_move

# The first bytes of every SQLite database.
_SQLITE = b"SQLite format 3\0"
_MOST_NAMED = 3


def store_uri(output: Path) -> str:
    """Address of the study's MLflow store."""
    return f"sqlite:///{(output / 'mlflow.db').absolute()}"


def require_study(output: Path) -> None:
    """Raise unless a folder holds a study; one that was moved is brought up to date.

    Raises:
        UserError: It does not.
    """
    if not (output / "mlflow.db").is_file():
        what = "holds no study (no mlflow.db)" if output.is_dir() else "is not a folder"
        raise UserError(f"{output} {what}; give the --output of a run{runs_here()}")
    if not is_database(output / "mlflow.db"):
        raise UserError(
            f"{output / 'mlflow.db'} is no database that can be read: the study ended before it began, "
            "or the file is damaged; run the study again with another --output"
        )
    follow_move(output)


def runs_here() -> str:
    """The newest runs in the usual place, for somebody who has forgotten what a folder was called."""
    found = sorted(Path("output").glob("*/mlflow.db"), key=lambda path: path.stat().st_mtime, reverse=True)
    return f", such as {', '.join(str(path.parent) for path in found[:_MOST_NAMED])}" if found else ""


def is_database(path: Path) -> bool:
    """Whether a file is a SQLite database with something in it."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE
