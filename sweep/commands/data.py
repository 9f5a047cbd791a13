"""``iskpo-sweep data``: fetch data sets and models once, and check what was fetched."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.input.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

    from sweep.tasks.maths.data_cache import Manifest
    from sweep.tasks.maths.problems import Problem
    from sweep.tasks.maths.sources import Source
    from sweep.tasks.pretrained.packages import PackagedModel

data = typer.Typer(
    name="data",
    no_args_is_help=True,
    help=(
        "Fetch and check the data of the mathematics task (dapo-math-17k, math-500, aime-2024, aime-2025) and the "
        "pretrained model smollm2."
    ),
)

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Data sets, or smollm2. [default: all data sets]")
]

_VERIFIED = {
    "checksum": "the published file",
    "answers": "the published answers, in another file",
    "nothing": "not the published set",
}


@data.command()
def fetch(
    names: Names = None,
    given: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A local .jsonl, .json or .parquet, or OWNER/NAME[@REVISION][:FILE] of the hub.",
        ),
    ] = None,
    wheel: Annotated[
        Path | None, typer.Option("--wheel", metavar="FILE", help="The package of a model, as a file at hand.")
    ] = None,
    accept_other: Annotated[
        bool, typer.Option("--accept-other", help="Keep a set that is not the published one, and say so.")
    ] = False,
) -> None:
    """Fetch data sets and models, check that they are the published ones and keep them for every later run.

    Models come from the package index that pip is configured with.
    """
    from rich.console import Console

    from sweep.tasks import usable_cache
    from sweep.tasks.maths.fetch import fetch as fetch_one
    from sweep.tasks.pretrained.fetch import fetch as fetch_model

    sources, models = _sources_and_models(names)
    if given is not None and (len(sources), len(models)) != (1, 0):
        raise UserError("--from gives one file: name the one data set that it holds")
    if wheel is not None and (len(sources), len(models)) != (0, 1):
        raise UserError("--wheel gives one package: name the one model that it holds")
    console = Console(stderr=True)
    for model in models:
        with usable_cache() as cache, console.status(f"getting and converting {model.package}"):
            fetch_model(model, cache=cache, wheel=wheel)
            typer.echo(_describe_model(model, cache))
    for source in sources:
        with usable_cache() as cache, _progress(console, f"reading {source.name}") as show:
            manifest = fetch_one(source=source, cache=cache, given=given, accept_other=accept_other, progress=show)
        typer.echo(_describe(manifest))


@data.command()
def check(names: Names = None) -> None:
    """Check that fetched data sets are as they were written, and how much of the benchmarks is in the training set."""
    from rich.console import Console

    from sweep.tasks import cache_folder
    from sweep.tasks.maths.data_cache import read_stored

    console = Console(stderr=True)
    problems: dict[Source, list[Problem]] = {}
    wrong: list[str] = []
    sources, models = _sources_and_models(names)
    for model in models:
        try:
            typer.echo(_describe_model(model, cache_folder()))
        except UserError as error:
            wrong.append(str(error))
    for source in sources:
        try:
            problems[source], manifest = read_stored(cache=cache_folder(), source=source)
        except UserError as error:
            wrong.append(str(error))
        else:
            typer.echo(_describe(manifest))
    for training in (source for source in problems if source.split == "train"):
        for evaluation in (source for source in problems if source.split == "test"):
            _report_overlap(console, problems, training=training, evaluation=evaluation)
    if wrong:
        raise UserError("\n       ".join(wrong))


def _report_overlap(
    console: "Console", problems: "dict[Source, list[Problem]]", *, training: "Source", evaluation: "Source"
) -> None:
    from sweep.tasks.maths.overlap import RUN, overlaps

    with _progress(console, f"comparing {evaluation.name} with {training.name}") as show:
        found = overlaps(training=problems[training], evaluation=problems[evaluation], progress=show)
    same = [one.identifier for one in found if one.same_text]
    half = [one.identifier for one in found if not one.same_text and one.runs >= 0.5]
    some = len(found) - len(same) - len(half)
    typer.echo(
        f"{evaluation.name} in {training.name}: of {len(problems[evaluation])} problems {len(same)} with the same "
        f"words, {len(half)} more with at least half of their runs of {RUN} words, {some} with some of them"
    )
    for what, identifiers in (("same words", same), ("half or more", half)):
        if identifiers:
            typer.echo(f"  {what}: {', '.join(identifiers)}")


def _sources_and_models(names: list[str] | None) -> "tuple[list[Source], list[PackagedModel]]":
    """Data sets and models of the names; all data sets, and no model, where there is no name."""
    from sweep.tasks.maths.sources import SOURCES
    from sweep.tasks.pretrained.packages import PACKAGED

    if unknown := [name for name in names or [] if name not in (*SOURCES, *PACKAGED)]:
        raise UserError(f"unknown data set {unknown[0]!r}{did_you_mean(unknown[0], [*SOURCES, *PACKAGED])}")
    names = names or list(SOURCES)
    return (
        [SOURCES[name] for name in names if name in SOURCES],
        [PACKAGED[name] for name in names if name in PACKAGED],
    )


def _describe_model(model: "PackagedModel", cache: Path) -> str:
    from sweep.tasks.pretrained.packages import origin

    known = origin(model, cache=cache)
    return (
        f"{model.name}: {model.title} ({model.licence}), the published file of {model.package} as float32; "
        f"weights {known['weights_sha256'][:16]}"
    )


def _describe(manifest: "Manifest") -> str:
    rows = f"{manifest.origin_rows:,} rows, " if manifest.origin_rows != manifest.problems else ""
    left_out = f", {manifest.contradictory} left out as contradictory" if manifest.contradictory else ""
    return (
        f"{manifest.name}: {rows}{manifest.problems:,} problems{left_out}; {_VERIFIED[manifest.verified]} "
        f"({manifest.origin}); content {manifest.content_sha256[:16]}"
    )


@contextmanager
def _progress(console: "Console", text: str) -> "Iterator[Callable[[int, int], None]]":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(text, total=None)
        # Called for every row; drawing is limited by the bar itself, and locking is not.
        shown = -1

        def show(done: int, total: int) -> None:
            nonlocal shown
            if (percent := done * 100 // max(total, 1)) != shown:
                shown = percent
                bar.update(task, completed=done, total=total)

        yield show
