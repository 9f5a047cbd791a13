"""What comes from the model hub: files of data sets, and models.

Where the hub gives nothing, the message has the reason and the way out.
"""

from dataclasses import dataclass
from pathlib import Path

from sweep.input.errors import UserError


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
