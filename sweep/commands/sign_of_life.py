"""The first line of a command that imports or reads for seconds before it has something to show."""

import sys

import typer


def sign_of_life(text: str) -> None:
    """Say what is being done, to people alone: not where the output goes to a file or a program."""
    if sys.stderr.isatty():
        typer.echo(f"{text} ...", err=True)
