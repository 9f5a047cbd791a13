"""From a profile's task name to the files that verl trains and evaluates on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sweep.input.errors import UserError, did_you_mean
from sweep.tasks.arithmetic.prepare import PreparedTask, prepare
from sweep.tasks.arithmetic.recipe import Recipe
from sweep.tasks.maths.prepare import prepare as prepare_maths
from sweep.tasks.pretrained.packages import PACKAGED, fetched
from sweep.tasks.words.prepare import prepare as prepare_words

CACHE_VARIABLE = "ISKPO_CACHE"
TASKS = ("arithmetic", "maths", "words")


def cache_folder() -> Path:
    """Where prepared tasks are kept: ``$ISKPO_CACHE``, else ``iskpo-sweep`` in the user's cache folder."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iskpo-sweep"


@contextmanager
def usable_cache() -> Iterator[Path]:
    """`cache_folder`, for what reads and writes in it.

    Raises:
        UserError: The system refuses something there, as where it cannot be written to.
    """
    folder = cache_folder()
    try:
        yield folder
    except OSError as error:
        place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        # Making the folder fails at the first of those above it that cannot be made.
        if place is None or not (place.is_relative_to(folder) or folder.is_relative_to(place)):
            raise
        message = f"the cache folder {folder} cannot be used: {error.strerror}: {place}; choose another with "
        raise UserError(f"{message}{CACHE_VARIABLE}") from None


def prepare_task(
    *,
    name: str,
    model: str | None = None,
    recipe: Recipe | None = None,
    quiet: bool = False,
) -> PreparedTask:
    """Prepare a task, showing how far it is; at once when the cache has it.

    Args:
        name: The task's name, as a profile gives it.
        model: The base model, for a task that does not make its own.
        recipe: What a task that does makes, if not what it does by default.
        quiet: Show nothing.

    Raises:
        UserError: There is no such task, what it needs is not there, or the cache folder cannot be used.
    """
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}{did_you_mean(name, TASKS)}")
    if (model is None) != (name == "arithmetic"):
        raise UserError(
            f"task {name!r} {'needs the profile to name a model' if model is None else 'makes its own model'}"
        )
    console = Console(quiet=quiet)
    with usable_cache() as cache:
        if model is None:
            prepared = _arithmetic(console, cache, recipe)
        else:
            prepared = (prepare_maths if name == "maths" else prepare_words)(cache=cache, model=model)
    console.print(f"Base model: {prepared.accuracy_note}", highlight=False)
    return prepared


def check_model(model: str | None) -> None:
    """A model that comes out of a package was fetched.

    Raises:
        UserError: It was not.
    """
    if model in PACKAGED:
        fetched(PACKAGED[model], cache=cache_folder())


def _arithmetic(console: Console, cache: Path, recipe: Recipe | None) -> PreparedTask:
    columns = (
        TextColumn("teaching the base model"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("teach", total=None, note="", visible=False)

        def show(step: int, max_steps: int, reproduced: float) -> None:
            note = f"{reproduced:.0%} of new lessons reproduced"
            bar.update(task, completed=step, total=max_steps, note=note, visible=True)

        return prepare(cache=cache, recipe=recipe, progress=show)
