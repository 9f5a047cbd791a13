"""The command line: its commands, and what the ``--help`` of each ends with.

Everything heavy is imported inside the command that needs it, so that ``--help`` is immediate.
"""

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from sweep.commands.audit import audit
from sweep.commands.data import data
from sweep.commands.doctor import doctor
from sweep.commands.export import export
from sweep.commands.grade import grade
from sweep.commands.import_runs import import_runs
from sweep.commands.init import init
from sweep.commands.logs import logs
from sweep.commands.numerics import numerics
from sweep.commands.plan import plan
from sweep.commands.replay import replay
from sweep.commands.report import report
from sweep.commands.resume import resume
from sweep.commands.run import run
from sweep.commands.schema import schema
from sweep.commands.status import status
from sweep.commands.stop import stop
from sweep.commands.ui import ui
from sweep.input.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_TRIAL_FAILED, EXIT_WRONG_INPUT, UserError

EXIT_CODES = {
    EXIT_OK: "everything that was asked for is done",
    EXIT_TRIAL_FAILED: "the study ran and a trial failed; `iskpo-sweep logs` shows why",
    EXIT_WRONG_INPUT: "wrong input or unusable machine; the message says what to do",
    EXIT_INTERRUPTED: "interrupted or stopped; `resume` goes on",
}
ENVIRONMENT = {
    "ISKPO_CACHE": "taught model and fetched data [~/.cache/iskpo-sweep]",
    "RAY_ADDRESS": "a Ray cluster that runs already; as --ray-address",
    "TMPDIR": "temporary files and Ray's sockets; a short path",
    "CUDA_VISIBLE_DEVICES": "which GPUs may be used; empty for none",
    "HF_HUB_OFFLINE": "1 keeps to models and data on this machine",
    "NO_COLOR": "set, it switches colours off",
}


def teaching(
    *examples: str,
    codes: tuple[int, ...] = (EXIT_OK, EXIT_WRONG_INPUT),
    environment: tuple[str, ...] = (),
    success: str = EXIT_CODES[EXIT_OK],
) -> str:
    r"""The text for a command's ``epilog``.

    Args:
        examples: Command lines, without ``iskpo-sweep``; what follows two spaces and a # is a remark.
        codes: Exit codes that the command can end with.
        environment: Names of the variables that it heeds.
        success: What exit code 0 means, where that is not plain.

    >>> print(teaching("plan studies/smoke.yaml", codes=(0,)))
    Examples:
      iskpo-sweep plan studies/smoke.yaml
    <BLANKLINE>
    Exit codes:
      0    everything that was asked for is done
    """
    meanings = EXIT_CODES | {EXIT_OK: success}
    blocks = [["Examples:", *(f"  iskpo-sweep {example}" for example in examples)]]
    blocks.append(["Exit codes:", *(f"  {code:<5}{meanings[code]}" for code in codes)])
    if environment:
        width = max(map(len, environment)) + 2
        blocks.append(["Environment:", *(f"  {name:<{width}}{ENVIRONMENT[name]}" for name in environment)])
    return "\n\n".join("\n".join(block) for block in blocks)


class _Commands(TyperGroup):
    """Ends every command with one message and the exit code of `sweep.input.errors`."""

    @override
    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            typer.echo(f"error: {error.strerror}: {error.filename}", err=True)
            raise typer.Exit(EXIT_WRONG_INPUT) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Which (Q, V, kappa) to train Kalman-filtered policy optimization with, and whether the difference is real.",
    epilog=teaching(
        "init study.yaml                # write a study file",
        "plan study.yaml                # what would be run",
        "run study.yaml                 # run it; ends with a PDF",
        "status output/study-20260101-120000",
        codes=(EXIT_OK, EXIT_TRIAL_FAILED, EXIT_WRONG_INPUT, EXIT_INTERRUPTED),
        environment=tuple(ENVIRONMENT),
    ),
)


def _print_version(asked: bool) -> None:
    if asked:
        import importlib.metadata

        typer.echo(f"iskpo-sweep {importlib.metadata.version('iskpo-sweep')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    # What all commands share; the version ends the program before this is called.
    del version


_RUNS = (EXIT_OK, EXIT_TRIAL_FAILED, EXIT_WRONG_INPUT, EXIT_INTERRUPTED)
_COMMANDS: dict[Callable[..., None], str] = {
    run: teaching(
        "run smoke                      # a shipped study, by name",
        "run study.yaml --output runs/first --ui-port 5000",
        "run more.yaml --reuse runs/first",
        "run study.yaml --quiet",
        "run study.yaml --json | jq 'select(.event == \"trial_ended\")'",
        codes=_RUNS,
        environment=("ISKPO_CACHE", "RAY_ADDRESS", "TMPDIR", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE"),
    ),
    resume: teaching(
        "resume output/smoke",
        "resume output/smoke --retry-failed",
        "resume output/smoke larger.yaml --extend",
        codes=_RUNS,
        environment=("ISKPO_CACHE", "RAY_ADDRESS", "TMPDIR"),
    ),
    status: teaching(
        "status output/smoke",
        "status output/smoke --watch 5",
        "status output/smoke --json",
    ),
    stop: teaching("stop output/smoke", "stop output/smoke --now"),
    plan: teaching(
        "plan studies/qv_kappa.yaml",
        "plan studies/paper_table1.yaml --profile tiny",
        "plan study.yaml --like output/earlier",
        "plan study.yaml --json",
    ),
    doctor: teaching(
        "doctor",
        "doctor --profile qwen3-4b",
        environment=("CUDA_VISIBLE_DEVICES", "RAY_ADDRESS", "TMPDIR", "HF_HUB_OFFLINE"),
    ),
    report: teaching("report output/smoke", "report output/smoke --format html"),
    replay: teaching(
        "replay output/smoke",
        "replay output/smoke --grid 50x50 --gain 1e-4:0.5",
        "replay output/smoke --settings filters.csv --overwrite",
    ),
    numerics: teaching("numerics --q 1e-2 --v 1 --length 4096", "numerics --q 1e-6 --v 1 --length 4096 --csv"),
    audit: teaching(
        "audit studies/paper/reported.yaml",
        "audit studies/paper/reported.yaml --output audit.pdf",
        success="the audit ran, also where claims differ",
    ),
    grade: teaching(
        "grade pairs.csv     # columns truth and answer",
        "grade output/maths  # every sample a study has kept",
        "grade samples.jsonl --output regraded.parquet",
        "grade pairs.jsonl --json | jq 'select(.verdict == \"unreadable\")'",
        success="all rows were graded, also where answers are wrong or unreadable",
    ),
    ui: teaching("ui output/smoke", "ui output/smoke --port 5001"),
    init: teaching("init study.yaml", "init study.yaml --compare map --profile auto --seeds 3"),
    logs: teaching(
        "logs output/smoke", "logs output/smoke kpo-strong_s0 --lines 50", "logs output/smoke kpo-strong_s0 -f"
    ),
    export: teaching(
        "export output/smoke", "export output/smoke --format csv --to tables", "export output/smoke --format optuna"
    ),
    schema: teaching("schema", "schema --output study.schema.json"),
}
for _command, _epilog in _COMMANDS.items():
    app.command(epilog=_epilog)(_command)
app.command("import", epilog=teaching("import mlruns.db --experiment my_runs --output output/my_runs"))(import_runs)
_DATA = {
    "fetch": teaching(
        "data fetch",
        "data fetch math-500 --from test.jsonl",
        environment=("ISKPO_CACHE", "HF_HUB_OFFLINE"),
    ),
    "check": teaching("data check", "data check math-500", environment=("ISKPO_CACHE",)),
}
for _part in data.registered_commands:
    _part.epilog = _DATA[_part.callback.__name__ if _part.callback else ""]
app.add_typer(data)


def main() -> None:
    """Entry point of the console script."""
    if sys.getfilesystemencoding() == "ascii":
        # Python reads names as UTF-8 in a locale that has none but ASCII, unless it was told not to: then Ray, which
        # sends its own command line, and whatever else takes a name for text would fail at the first other character.
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        # What the terminal's encoding lacks is shown as ?, and ends no command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(prog_name="iskpo-sweep")


if __name__ == "__main__":
    main()
