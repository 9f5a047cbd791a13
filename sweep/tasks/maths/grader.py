"""Grade responses: find the answer, compare it with the right one, in bounded time and memory and without raising.

Most answers need little mathematics: the same text is right, and whole numbers and fractions can be compared. What is
left goes to a `grading_process`, of which there are at most as many as threads ask at once, started when first needed.
It reads nothing from the folder or the environment of the process that starts it: see `_environment`.
"""

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sweep.tasks.maths.answers.numerals import plain_number
from sweep.tasks.maths.boxed import MAX_ANSWER_CHARACTERS, last_boxed, same_text
from sweep.tasks.maths.grading_process import Limits, Outcome, readable

Matching = Literal["equivalent", "strict", "exact"]
MATCHINGS: tuple[Matching, ...] = get_args(Matching)

_START_SECONDS = 120.0
"""By the clock, for a process to import mpmath on a machine where many do so at once."""
_VARIABLES = {"PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR"}
"""Variables that a grading process is given."""
_REMEMBERED = 8192


@dataclass(frozen=True)
class Grading:
    """The verdict on one response.

    Attributes:
        correct: Whether the answer is right; never when the outcome is another than ``graded``.
        outcome: How the grading ended.
        answer: The answer as it stands in the response, "" where there is none.
        rule: Name of the rule that decided, as in ``docs/grading.md``.
        answer_read: What was read as the answer; "" where it was not read, or did not have to be.
        truth_read: What was read as the right answer.
    """

    correct: bool
    outcome: Outcome
    answer: str
    rule: str = ""
    answer_read: str = ""
    truth_read: str = ""


class Grader:
    r"""Grades responses; may be shared by threads.

    Args:
        matching: ``equivalent``: the same mathematics, ``0.5`` is right where ``\frac{1}{2}`` was asked for.
            ``strict``: the same notation, but for spelling, as in ``\dfrac12``. ``exact``, the paper's: the same text
            but for white space.
        limits: What one comparison may take.
        processes: Most grading processes at once; by default one for each CPU this process may use, at most four.

    >>> with Grader() as grader:
    ...     grading = grader.grade(response=r"So $x$ is \boxed{0.5}.", truth=r"\frac{1}{2}")
    >>> grading.correct, grading.answer, grading.rule, grading.truth_read
    (True, '0.5', 'value', '1/2')
    """

    def __init__(
        self, *, matching: Matching = "equivalent", limits: Limits | None = None, processes: int | None = None
    ) -> None:
        """Start nothing yet."""
        if matching not in MATCHINGS:
            raise ValueError(f"matching must be 'equivalent', 'strict' or 'exact', not {matching!r}")
        self._matching = matching
        self._limits = limits or Limits()
        self._free = threading.Semaphore(processes or min(4, len(os.sched_getaffinity(0))))
        self._idle: queue.LifoQueue[_GradingProcess] = queue.LifoQueue()
        self._known: OrderedDict[tuple[str, str], Grading] = OrderedDict()
        self._lock = threading.Lock()
        atexit.register(self.close)

    def __enter__(self) -> "Grader":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End its processes."""
        self.close()

    def close(self) -> None:
        """End its idle processes; it may be used again afterwards."""
        while True:
            try:
                self._idle.get_nowait().end()
            except queue.Empty:
                return

    def grade(self, *, response: object, truth: object) -> Grading:
        """Grade a response; whatever it holds, this returns and does not raise."""
        if not isinstance(response, str) or (answer := last_boxed(response)) is None:
            return Grading(False, Outcome.UNPARSED, "", "no box")
        return self.compare(answer=answer, truth=truth if isinstance(truth, str) else str(truth))

    def compare(self, *, answer: str, truth: str) -> Grading:
        """Grade an answer that is already out of its box."""
        answer, truth = answer.strip(), truth.strip()
        if not answer or len(answer) > MAX_ANSWER_CHARACTERS or len(truth) > MAX_ANSWER_CHARACTERS:
            return Grading(False, Outcome.UNPARSED, answer, "too long" if answer else "empty")
        if same_text(answer, truth):
            return Grading(True, Outcome.GRADED, answer, "same text", answer, truth)
        if self._matching == "exact":
            return Grading(False, Outcome.GRADED, answer, "same text", answer, truth)
        numbers = plain_number(answer), plain_number(truth)
        if self._matching == "equivalent" and None not in numbers:
            return Grading(numbers[0] == numbers[1], Outcome.GRADED, answer, "value", *map(str, numbers))
        # A group of samples repeats its answers, and one that costs the whole time limit would cost it every time.
        with self._lock:
            if (known := self._known.get((answer, truth))) is not None:
                self._known.move_to_end((answer, truth))
                return known
        result = self._ask(answer, truth)
        if result.outcome is not Outcome.CRASHED:
            with self._lock:
                self._known[answer, truth] = result
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return result

    def _ask(self, answer: str, truth: str) -> Grading:
        with self._free:
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                process = _GradingProcess(self._limits)
            try:
                result = process.ask(answer, truth, self._matching)
            except BaseException:
                process.end()
                raise
            if process.usable:
                self._idle.put(process)
        return result


def _environment() -> dict[str, str]:
    """The variables that a grading process gets: those that Python and its libraries need to start, and no secrets.

    verl loads the reward function by its path, from where the project need not be importable: the project comes first
    on the path, and what was on it follows, but not the current folder.
    """
    path = [str(Path(__file__).resolve().parents[3])]
    for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if os.path.isabs(entry) and Path(entry).resolve() != Path.cwd():
            path.append(entry)
    return {name: value for name, value in os.environ.items() if name in _VARIABLES} | {
        "PYTHONPATH": os.pathsep.join(path)
    }


class _GradingProcess:
    """One `grading_process`, seen from here; used by one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",  # without the current folder, whose types.py or sweep.py would be taken for Python's or ours
                "-m",
                "sweep.tasks.maths.grading_process",
                str(limits.cpu_seconds),
                str(limits.wall_seconds),
                str(limits.memory_bytes),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        assert self._process.stdin is not None, "it is a pipe"
        assert self._process.stdout is not None, "it is a pipe"
        self._requests, self._replies = self._process.stdin, self._process.stdout
        self._patience = limits.wall_seconds * 2
        self._owner = os.getpid()
        self._asked = False
        self.usable = True

    def ask(self, answer: str, truth: str, matching: Matching) -> Grading:
        # The process bounds the comparison; the limit here is for one that does not answer at all.
        patience = self._patience + (0.0 if self._asked else _START_SECONDS)
        self._asked = True
        try:
            self._requests.write(json.dumps([answer, truth, matching]).encode() + b"\n")
            self._requests.flush()
            if readable([self._replies.fileno()], seconds=patience):
                outcome, correct, *told = json.loads(self._replies.readline())
                return Grading(bool(correct), Outcome(outcome), answer, *(told or [outcome]))
        except (OSError, ValueError):
            pass
        self.end()
        return Grading(False, Outcome.CRASHED, answer, "crashed")

    def end(self) -> None:
        self.usable = False
        if self._owner != os.getpid():
            return  # this process was forked from the one that started it
        self._process.kill()
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.wait()
