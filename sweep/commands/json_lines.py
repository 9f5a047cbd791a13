"""What ``--json`` adds to `run` and `resume`: the first and the last line of what they print."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.input.errors import StudyFailed, UserError

if TYPE_CHECKING:
    from sweep.engine.event_lines import EventLines
    from sweep.profiles.profile import Profile
    from sweep.study.study import Study


def ends_in_json(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command with ``--json`` end with a line on standard output also when its input is wrong."""

    @functools.wraps(command)
    def with_last_line(**arguments: Any) -> None:
        if not arguments["as_json"]:
            return command(**arguments)
        from sweep.engine.event_lines import EventLines

        try:
            if arguments["quiet"]:
                raise UserError("--quiet and --json exclude each other: --json prints nothing but its lines")
            return command(**arguments)
        except StudyFailed:
            raise  # The study has ended, and its last line said so.
        except UserError as error:
            EventLines(total=0, steps=1).say("error", message=str(error), exit_code=error.exit_code)
            raise

    return with_last_line


def begin(*, study: "Study", profile: "Profile", output: Path, resumed: bool) -> "EventLines":
    """The lines of a study, with the first of them."""
    from sweep.engine.event_lines import EventLines
    from sweep.study.plan import number_of_trials

    total, steps = number_of_trials(study), 1 if study.trial.is_replay else study.steps
    events = EventLines(total=total, steps=steps)
    events.say(
        "study_started",
        study=study.name,
        output=str(output),
        profile=profile.name,
        trials=total,
        steps=steps,
        resumed=resumed,
    )
    return events
