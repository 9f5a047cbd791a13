"""Which files of a study's runs an MLflow server lacks; read without MLflow, whose import takes seconds.

``delivered_files.jsonl`` has a line for each file that was sent, and is only ever added to. A file that has changed
since is sent again, as a study's own are when it is resumed.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sweep.store.undelivered import Delivered, noted

SENT = "delivered_files.jsonl"


@dataclass(frozen=True)
class SentFile:
    """A file on the server.

    Attributes:
        remote: The run there.
        path: Its path among the run's artifacts; "" notes that the server takes no files, and `stamp` then says why.
        stamp: Size and time of change when it was sent.
    """

    remote: str
    path: str
    stamp: str


def note_sent(output: Path, sent: SentFile) -> None:
    """Add a line."""
    with (output / SENT).open("a", encoding="utf-8") as file:
        # A line that a kill cut off is ended first.
        file.write(f"\n{json.dumps(asdict(sent))}")


def sent_files(output: Path) -> dict[tuple[str, str], str]:
    """Stamp of each file that was sent, by run and path; the latest of each."""
    path, known = output / SENT, {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            sent = SentFile(**json.loads(line))
        except ValueError:
            continue
        known[sent.remote, sent.path] = sent.stamp
    return known


def unsent_files(output: Path, *, of: dict[str, Delivered], sent: dict[tuple[str, str], str]) -> Iterator[SentFile]:
    """Files of the runs that the server knows, and lacks.

    Args:
        output: The study's folder.
        of: The runs, by their id in the study's own store.
        sent: From `sent_files`.
    """
    artifacts = output / "artifacts"
    for folder in sorted(artifacts.iterdir()) if artifacts.is_dir() else []:
        if (known := of.get(folder.name)) is None:
            continue
        for path in sorted((folder / "artifacts").rglob("*")):
            if path.is_file():
                name, found = path.relative_to(folder / "artifacts").as_posix(), path.stat()
                stamp = f"{found.st_size}/{found.st_mtime_ns}"
                if sent.get((known.remote, name)) != stamp:
                    yield SentFile(known.remote, name, stamp)


def count_unsent(output: Path) -> tuple[int, str]:
    """How many files the server lacks of the runs that it knows, and why it takes none where it does not."""
    sent = sent_files(output)
    refusals = [stamp for (_, path), stamp in sent.items() if not path]
    return sum(1 for _ in unsent_files(output, of=noted(output), sent=sent)), refusals[-1] if refusals else ""
