"""Data sets as verl reads them, written once into the cache and found there again.

    CACHE/maths/math-500.json                   which folder is the current one
    CACHE/maths/math-500-0123456789abcdef/      named by the hash of its content
        problems.parquet                        verl's rows
        manifest.json                           where they come from, what was checked

A folder is filled under another name and renamed, and so is the file that points to it: whoever looks sees the old
state or the new one.
"""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from sweep.input.errors import UserError
from sweep.tasks.maths.data_file import file_sha256
from sweep.tasks.maths.problems import Distinct, Problem
from sweep.tasks.maths.sources import Source

_FOLDER = "maths"


@dataclass(frozen=True)
class Manifest:
    """What is known of a data set in the cache.

    Attributes:
        name: Of the data set.
        split: ``train`` or ``test``.
        origin: The file it was made from: its path, or ``owner/name@commit:file`` of the hub.
        origin_sha256: Checksum of that file.
        origin_rows: Rows of that file.
        problems: Distinct problems, all of which are kept.
        contradictory: Problems left out because rows contradict each other.
        verified: What tells that this is the published set: ``checksum``, ``answers``, or ``nothing``.
        content_sha256: Of the rows, whatever file format they came in.
        parquet_sha256: Of the file in the cache.
    """

    name: str
    split: str
    origin: str
    origin_sha256: str
    origin_rows: int
    problems: int
    contradictory: int
    verified: str
    content_sha256: str
    parquet_sha256: str


def verl_row(problem: Problem, *, source: Source, index: int) -> dict[str, object]:
    """One row as ``verl.utils.dataset.rl_dataset.RLHFDataset`` reads it; the same columns for every data set."""
    return {
        "data_source": source.name,
        "prompt": [{"role": "user", "content": problem.prompt}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": problem.answer},
        "extra_info": {
            "index": index,
            "problem_id": problem.identifier,
            "split": source.split,
            "subject": problem.subject,
            "level": problem.level,
            "problem": problem.text,
        },
    }


def store(
    *,
    cache: Path,
    source: Source,
    found: Distinct,
    origin: str,
    origin_sha256: str,
    verified: str,
) -> Manifest:
    """Write a data set and make it the current one of its name; nothing is written twice."""
    import pandas as pd

    rows = [verl_row(problem, source=source, index=index) for index, problem in enumerate(found.problems)]
    content = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    home = cache.resolve() / _FOLDER
    home.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{source.name}-", dir=home))
    try:
        parquet = partial / "problems.parquet"
        pd.DataFrame(rows).to_parquet(parquet)
        manifest = Manifest(
            name=source.name,
            split=source.split,
            origin=origin,
            origin_sha256=origin_sha256,
            origin_rows=found.rows,
            problems=len(found.problems),
            contradictory=found.contradictory,
            verified=verified,
            content_sha256=content,
            parquet_sha256=file_sha256(parquet),
        )
        (partial / "manifest.json").write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
        # By origin as well: the same rows from a file that proves more are another folder, with another manifest.
        key = hashlib.sha256(json.dumps(asdict(manifest), sort_keys=True).encode()).hexdigest()[:16]
        folder = home / f"{source.name}-{key}"
        if not folder.exists():
            partial.chmod(0o755)
            try:
                partial.rename(folder)
            except OSError:
                if not folder.exists():  # else another process has just written the same
                    raise
        pointer = partial.with_suffix(".json")
        pointer.write_text(json.dumps({"folder": folder.name}) + "\n", encoding="utf-8")
        os.replace(pointer, home / f"{source.name}.json")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def stored(*, cache: Path, source: Source) -> tuple[Path, Manifest] | None:
    """The parquet file and manifest of a data set, or None where it was never fetched."""
    home = cache.resolve() / _FOLDER
    try:
        folder = home / json.loads((home / f"{source.name}.json").read_text(encoding="utf-8"))["folder"]
        manifest = Manifest(**json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{home}: what is kept of {source.name} is damaged; {how_to_fetch(source.name)}") from None
    return folder / "problems.parquet", manifest


def read_stored(*, cache: Path, source: Source) -> tuple[list[Problem], Manifest]:
    """The problems of a data set, after checking that the file is as it was written.

    Raises:
        UserError: It was never fetched, or the file was changed since.
    """
    import pandas as pd

    if (found := stored(cache=cache, source=source)) is None:
        raise UserError(f"{source.name} was not fetched yet; {how_to_fetch(source.name)}")
    path, manifest = found
    if not path.is_file() or file_sha256(path) != manifest.parquet_sha256:
        raise UserError(f"{path} was changed since it was written; {how_to_fetch(source.name)}")
    table = pd.read_parquet(path)
    problems = [
        Problem(
            identifier=extra["problem_id"],
            text=extra["problem"],
            answer=truth["ground_truth"],
            subject=extra["subject"],
            level=extra["level"],
        )
        for extra, truth in zip(table["extra_info"], table["reward_model"], strict=True)
    ]
    return problems, manifest


def how_to_fetch(name: str) -> str:
    """The end of a message."""
    return f"run: iskpo-sweep data fetch {name} (with --from FILE where there is no access to the hub)"
