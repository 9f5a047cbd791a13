"""What a command can end with, the exceptions that decide it, and what a message suggests.

=====  ======================================================================
code   meaning
=====  ======================================================================
0      everything that was asked for is done; every trial finished
1      the study ran, and at least one trial failed
2      wrong input or an unusable machine; nothing was started
130    interrupted (Ctrl-C); what had finished is recorded
=====  ======================================================================
"""

import difflib
import shlex
from collections.abc import Iterable

EXIT_OK = 0
EXIT_TRIAL_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """Something the user can put right; the message is for the user and says how. Exit code 2."""

    exit_code = EXIT_WRONG_INPUT


class StudyCutOff(UserError):  # noqa: N818  (it is what happened, and reads so)
    """The study was cut off by its machine. Exit code 130: what had finished is recorded."""

    exit_code = EXIT_INTERRUPTED


class StudyFailed(UserError):  # noqa: N818  (it is what happened, and reads so)
    """The study ran and some of its trials failed. Exit code 1."""

    exit_code = EXIT_TRIAL_FAILED


def did_you_mean(given: object, valid: Iterable[str]) -> str:
    """The end of an error message: the nearest valid word when one is near, else all of them.

    >>> did_you_mean("seads", ["seeds", "steps"])
    "; did you mean 'seeds'?"
    >>> did_you_mean("xyz", ["seeds", "steps"])
    '; valid: seeds, steps'
    """
    words = list(valid)
    lower = {word.lower(): word for word in words}
    near = difflib.get_close_matches(str(given).lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean '{lower[near[0]]}'?" if near else f"; valid: {', '.join(words)}"


def in_shell(path: object) -> str:
    """A path as it stands in a command line that a message suggests.

    >>> in_shell("output/my runs"), in_shell("output/smoke")
    ("'output/my runs'", 'output/smoke')
    """
    return shlex.quote(str(path))
