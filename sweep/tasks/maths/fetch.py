"""Fetch a data set, check that it is what it should be, and keep it."""

import re
from pathlib import Path

from sweep.input.errors import UserError
from sweep.tasks.hub import HubFile, download_file
from sweep.tasks.maths.data_cache import Manifest, store
from sweep.tasks.maths.data_file import FORMATS, Progress, file_sha256, read_rows
from sweep.tasks.maths.problems import Distinct, answers_digest, distinct_problems
from sweep.tasks.maths.sources import Source

_HUB = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<file>.+))?", re.ASCII)


def fetch(
    *,
    source: Source,
    cache: Path,
    given: str | None = None,
    accept_other: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Read, check and keep one data set.

    Args:
        source: Which.
        cache: Folder of all prepared tasks.
        given: A local file, or ``owner/name[@revision][:file]`` of the hub; by default the published file at the
            revision that `source` pins.
        accept_other: Keep a set that is not the published one; its manifest says so.
        progress: Of reading the file.

    Raises:
        UserError: It cannot be had, cannot be read, or is not the published set.
    """
    path, origin, published = _locate(source, given)
    checksum = file_sha256(path)
    if published and checksum != source.file_sha256:
        raise UserError(
            f"{path}: SHA-256 is {checksum}, and that of {origin} {source.file_sha256}: delete it, fetch again"
        )
    found = distinct_problems(read_rows(path, progress=progress), where=str(path))
    verified, doubt = _verify(source, checksum, found)
    if doubt and not accept_other:
        raise UserError(f"{path}: not {source.name}: {doubt}; to use it all the same, add --accept-other")
    return store(cache=cache, source=source, found=found, origin=origin, origin_sha256=checksum, verified=verified)


def _locate(source: Source, given: str | None) -> tuple[Path, str, bool]:
    """Path of the file here, what to call it, and whether it must be the published one to the byte."""
    if given is None:
        wanted = HubFile(hub_id=source.hub_id, revision=source.revision, file=source.file)
        path, exact = download_file(wanted, formats=FORMATS)
        return path, str(exact), True
    local = Path(given)
    if local.is_file():
        return local, str(local.resolve()), False
    if local.is_dir():
        raise UserError(f"{given} is a folder; name a file in it ({', '.join(FORMATS)})")
    match = _HUB.fullmatch(given)
    if match is None or (local.suffix.lower() in FORMATS and not match["file"]):
        raise UserError(f"{given}: no such file, and no OWNER/NAME[@REVISION][:FILE] of the hub")
    wanted = HubFile(hub_id=match["id"], revision=match["revision"] or "main", file=match["file"])
    path, exact = download_file(wanted, formats=FORMATS)
    return path, str(exact), False


def _verify(source: Source, checksum: str, found: Distinct) -> tuple[str, str]:
    """What tells that this is the published set, and what is against it."""
    fewest, most = source.problems
    if checksum == source.file_sha256:
        expected = [(found.rows, source.rows, source.rows, "rows"), (len(found.problems), fewest, most, "problems")]
    else:
        expected = [(len(found.problems), fewest, most, "distinct problems")]
    for count, low, high, what in expected:
        if not low <= count <= high:
            wanted = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            return "nothing", f"it has {count:,} {what}, expected {wanted}"
    if checksum == source.file_sha256:
        return "checksum", ""
    if source.answers_sha256 is None:
        return "nothing", f"its SHA-256 is {checksum}, that of the published file {source.file_sha256}"
    if answers_digest(found.problems) != source.answers_sha256:
        return "nothing", "the right number of problems, but other answers than the published ones"
    return "answers", ""
