"""``iskpo-sweep init``: a first study file, from three questions or from options."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import complete_profile

_NAMES = ("map", "paper", "grid", "neighbours")


def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to write.")] = Path("study.yaml"),
    compare: Annotated[
        str | None,
        typer.Option(metavar="|".join(_NAMES), help="What to compare.", autocompletion=lambda: list(_NAMES)),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Model, task and sizes; auto runs anywhere.", autocompletion=complete_profile
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Training runs of every arm.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The study's name. [default: the file's]")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Training steps. [default: the profile's]")] = None,
) -> None:
    """Write a commented study file; what no option answers is asked, or without a terminal set to the first choice."""
    from sweep.commands.init_study import COMPARISONS, Answers, write_study
    from sweep.input.errors import UserError, did_you_mean
    from sweep.profiles.profile import AUTO, available_profiles

    if file.exists():
        raise UserError(f"{file} exists and is not overwritten; name another file")
    profiles = {AUTO: "the one that runs on any machine, today tiny", **dict.fromkeys(available_profiles(), "")}
    compare = compare or _choose("What is to be compared?", {key: text for key, (text, _) in COMPARISONS.items()})
    if compare not in COMPARISONS:
        raise UserError(f"unknown comparison {compare!r}{did_you_mean(compare, list(COMPARISONS))}")
    profile = profile or _choose("With which profile?", profiles)
    if profile not in profiles:
        raise UserError(f"unknown profile {profile!r}{did_you_mean(profile, list(profiles))}")
    if seeds is None:
        few = {"1": "shows what the algorithm does", "3": "the fewest that say how much is chance", "5": "better"}
        seeds = _number(_choose("How many training seeds for every arm?", few))
    answers = Answers(comparison=compare, profile=profile, seeds=seeds)
    trials = write_study(answers=answers, path=file, name=name, steps=steps)
    typer.echo(f"{file} written: {trials} trials.")
    typer.echo(f"See them: iskpo-sweep plan {file}\nRun them: iskpo-sweep run {file}")


def _choose(question: str, choices: dict[str, str]) -> str:
    first = next(iter(choices))
    if not sys.stdin.isatty():
        return first
    typer.echo(question, err=True)
    for name, text in choices.items():
        typer.echo(f"  {name:<12}{text}".rstrip(), err=True)
    return str(typer.prompt("", default=first, prompt_suffix="> ", err=True)).strip()


def _number(text: str) -> int:
    from sweep.input.errors import UserError

    if not text.isdigit():
        raise UserError(f"the number of seeds must be a whole number, got {text!r}")
    return int(text)
