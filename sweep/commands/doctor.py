"""``iskpo-sweep doctor``: whether a study could run here."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sweep.commands.arguments import ProfileName
from sweep.input.errors import UserError


def doctor(
    profile: ProfileName = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation and the machine, and say what to do about what would get in the way.

    Exit code 2 if a study could not run.
    """
    from sweep.profiles.doctor_checks import examine, findings_as_json, show_findings
    from sweep.profiles.profile import AUTO, resolve_profile

    # Whether it can be trained with is what is looked at.
    chosen = resolve_profile(profile or AUTO, trains=False)
    findings = examine(profile=chosen, output=Path("output"))
    if as_json:
        typer.echo(json.dumps(findings_as_json(findings), indent=2))
    else:
        show_findings(findings)
    if problems := [finding.what for finding in findings if finding.verdict == "problem"]:
        raise UserError(f"profile {chosen.name} cannot run here: {', '.join(problems)}")
