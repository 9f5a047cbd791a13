"""The studies that come with the program, by name: in a checkout's ``studies``, and in what a wheel brought along."""

import importlib.metadata
from pathlib import Path

from sweep.input.errors import UserError, did_you_mean

_DISTRIBUTION = "iskpo-sweep"
_CHECKOUT = Path(__file__).resolve().parents[2] / "studies"


def shipped_studies() -> dict[str, Path]:
    """Name to file, sorted by name."""
    found = list(_CHECKOUT.glob("*.yaml"))
    if not found:
        # An installer puts data files under the environment's own prefix, and notes where.
        recorded = importlib.metadata.files(_DISTRIBUTION) or ()
        found = [Path(str(file.locate())).resolve() for file in recorded if file.parent.name == "studies"]
    return {path.stem: path for path in sorted(found) if path.suffix == ".yaml"}


def study_path(given: Path) -> Path:
    """The file that a user means: one of his own, or a shipped study of that name.

    Raises:
        UserError: There is neither.
    """
    if given.exists() or given.suffix or given.parent != Path():
        return given
    studies = shipped_studies()
    if given.name not in studies:
        raise UserError(f"{given}: no such file, and no study of that name is shipped{did_you_mean(given, studies)}")
    return studies[given.name]
