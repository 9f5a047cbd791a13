"""The task: a base model from the hub or a folder, the fetched data sets, and how a response is scored."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from sweep.input.errors import UserError
from sweep.tasks.arithmetic.prepare import PreparedTask
from sweep.tasks.maths.data_cache import how_to_fetch, stored
from sweep.tasks.maths.small_model import MADE_HERE, made_model
from sweep.tasks.maths.sources import BENCHMARKS, TRAINING, Source
from sweep.tasks.pretrained.base_model import base_model


@dataclass(frozen=True)
class PreparedMaths(PreparedTask):
    """The files of the task."""

    @property
    def accuracy_note(self) -> str:
        """One line for the user: the model, and what it is trained and judged on."""
        known = self.summary
        sets = ", ".join(f"{name} ({count})" for name, count in known["evaluation"].items())
        return f"{known['model']}; trains on {known['training']:,} problems of {TRAINING.name}, judged on {sets}"


def prepare(*, cache: Path, model: str, training: Source = TRAINING) -> PreparedMaths:
    """Return the task's files; the data sets must have been fetched before.

    Args:
        cache: Folder of all prepared tasks.
        model: What `base_model` takes, or `MADE_HERE`.
        training: What to train on.

    Raises:
        UserError: A data set was not fetched, or there is no such model.
    """
    paths, manifests, missing = {}, {}, []
    for source in (training, *BENCHMARKS):
        if (found := stored(cache=cache, source=source)) is None:
            missing.append(source.name)
        else:
            paths[source.name], manifests[source.name] = found
    if missing:
        raise UserError(f"data that was not fetched yet: {', '.join(missing)}; {how_to_fetch(' '.join(missing))}")
    if model == MADE_HERE:
        content = manifests[training.name].content_sha256
        folder = made_model(cache=cache, training=paths[training.name], content=content)
    else:
        folder = base_model(model, cache=cache)
    summary = {
        "model": model,
        "model_dir": str(folder),
        "training": manifests[training.name].problems,
        "evaluation": {source.name: manifests[source.name].problems for source in BENCHMARKS},
        "data": {name: manifest.content_sha256 for name, manifest in manifests.items()},
        "verified": {name: manifest.verified for name, manifest in manifests.items()},
    }
    text = json.dumps(summary, indent=1) + "\n"
    # Beside the data sets' folders, one for each combination of model and data.
    summary_file = paths[training.name].parents[1] / f"summary-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    summary_file.write_text(text, encoding="utf-8")
    return PreparedMaths(
        model_dir=folder,
        train_parquet=paths[training.name],
        eval_parquets={source.name: paths[source.name] for source in BENCHMARKS},
        reward_file=Path(__file__).with_name("reward.py").resolve(),
        summary_file=summary_file,
    )
