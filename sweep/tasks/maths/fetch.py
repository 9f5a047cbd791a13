"""Fetch a data set, check that it is what it should be, and keep it; and what comes from the hub, models too.

Where the hub gives nothing, the message has the reason and the way out.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from sweep.input.errors import UserError
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


@dataclass(frozen=True)
class HubFile:
    """A file on the hub.

    Attributes:
        hub_id: ``owner/name`` of a data set.
        revision: Commit, tag or branch.
        file: Path in it; None where there is only one data file to choose.
    """

    hub_id: str
    revision: str = "main"
    file: str | None = None

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"{self.hub_id}@{self.revision}" + (f":{self.file}" if self.file else "")


def download_file(wanted: HubFile, *, formats: tuple[str, ...]) -> tuple[Path, HubFile]:
    """A local path of the file, from the hub's own cache where it is there, and the file with the commit it is of.

    Raises:
        UserError: It cannot be had, or ``wanted`` names no file and the repository has several.
    """
    from huggingface_hub import HfApi, hf_hub_download

    with _Explained(str(wanted)):
        name = wanted.file
        if name is None:
            listed = HfApi().list_repo_files(wanted.hub_id, revision=wanted.revision, repo_type="dataset")
            name = _only([file for file in listed if file.endswith(formats)], wanted)
        path = Path(hf_hub_download(wanted.hub_id, name, repo_type="dataset", revision=wanted.revision))
    # .../snapshots/COMMIT/FILE
    commit = path.parts[len(path.parts) - len(Path(name).parts) - 1]
    return path, HubFile(hub_id=wanted.hub_id, revision=commit, file=name)


def download_model(model: str) -> Path:
    """Folder of a model: a local one, or ``owner/name`` or ``owner/name@revision`` of the hub.

    Raises:
        UserError: There is neither.
    """
    if Path(model).is_dir():
        return Path(model).resolve()
    hub_id, _, revision = model.partition("@")
    from huggingface_hub import snapshot_download

    with _Explained(model, instead="give the folder of a local copy"):
        return Path(snapshot_download(hub_id, revision=revision or None))


def _only(files: list[str], wanted: HubFile) -> str:
    if len(files) != 1:
        found = ", ".join(sorted(files)) if files else "no data file"
        raise UserError(f"{wanted}: name one file of it as {wanted}:FILE; it has {found}")
    return files[0]


class _Explained:
    """Turns what huggingface_hub raises into one line for the user."""

    def __init__(self, what: str, *, instead: str = "give a local copy with --from FILE") -> None:
        self._what, self._instead = what, instead

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, UserError):
            return
        import httpx
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError

        if isinstance(error, HFValidationError):
            raise UserError(f"{self._what}: neither a file here nor a name on the hub") from None
        if isinstance(error, GatedRepoError):
            raise UserError(f"{self._what}: the hub wants its terms accepted and a login (hf auth login)") from None
        # LocalEntryNotFoundError, OfflineModeIsEnabled and connection errors are OSErrors.
        if isinstance(error, (HfHubHTTPError, httpx.HTTPError, OSError)):
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise UserError(
                f"cannot get {self._what} from the hub: {reason} Without access, {self._instead}."
            ) from None
