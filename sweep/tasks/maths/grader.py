"""Grade responses: find the answer, compare it with the right one, in bounded time and memory and without raising.

Most answers need little mathematics: the same text is right, and whole numbers and fractions can be compared. What is
left goes to a `grading_process`, of which there are at most as many as threads ask at once, started when first needed.
"""

import atexit
import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sweep.tasks.maths.answers import MAX_ANSWER_CHARACTERS, last_boxed, plain_number
from sweep.tasks.maths.grading_process import Limits, Outcome, readable

Matching = Literal["equivalent", "exact"]

_START_SECONDS = 120.0
"""By the clock, for a process to import sympy on a machine where many do so at once."""
_REMEMBERED = 8192
_SPACE = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
"""White space that means nothing: between two digits it does, ``1 1/2`` is not ``11/2``."""


@dataclass(frozen=True)
class Grading:
    """The verdict on one response.

    Attributes:
        correct: Whether the answer is right; never when the outcome is another than ``graded``.
        outcome: How the grading ended.
        answer: The answer as it stands in the response, "" where there is none.
    """

    correct: bool
    outcome: Outcome
    answer: str


class Grader:
    r"""Grades responses; may be shared by threads.

    Args:
        matching: ``equivalent``, by math-verify: ``0.5`` is right where ``\frac{1}{2}`` was asked for. ``exact``, the
            paper's: the same text but for white space.
        limits: What one comparison may take.
        processes: Most grading processes at once; by default one for each CPU this process may use, at most four.

    >>> with Grader() as grader:
    ...     grader.grade(response=r"So $x$ is \boxed{0.5}.", truth=r"\frac{1}{2}")
    Grading(correct=True, outcome=<Outcome.GRADED: 'graded'>, answer='0.5')
    """

    def __init__(
        self, *, matching: Matching = "equivalent", limits: Limits | None = None, processes: int | None = None
    ) -> None:
        """Start nothing yet."""
        if matching not in ("equivalent", "exact"):
            raise ValueError(f"matching must be 'equivalent' or 'exact', not {matching!r}")
        self._matching = matching
        self._limits = limits or Limits()
        self._free = threading.Semaphore(processes or min(4, len(os.sched_getaffinity(0))))
        self._idle: queue.LifoQueue[_GradingProcess] = queue.LifoQueue()
        self._known: OrderedDict[tuple[str, str], tuple[Outcome, bool]] = OrderedDict()
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
            return Grading(correct=False, outcome=Outcome.UNPARSED, answer="")
        outcome, correct = self.compare(answer=answer, truth=truth if isinstance(truth, str) else str(truth))
        return Grading(correct=correct, outcome=outcome, answer=answer)

    def compare(self, *, answer: str, truth: str) -> tuple[Outcome, bool]:
        """How comparing two answers ended, and whether ``answer`` is right."""
        answer, truth = answer.strip(), truth.strip()
        if not answer or len(answer) > MAX_ANSWER_CHARACTERS or len(truth) > MAX_ANSWER_CHARACTERS:
            return Outcome.UNPARSED, False
        if _SPACE.sub("", answer) == _SPACE.sub("", truth):
            return Outcome.GRADED, True
        if self._matching == "exact":
            return Outcome.GRADED, False
        if (number := plain_number(answer)) is not None and (right := plain_number(truth)) is not None:
            return Outcome.GRADED, number == right
        # A group of samples repeats its answers, and one that costs the whole time limit would cost it every time.
        with self._lock:
            if (known := self._known.get((answer, truth))) is not None:
                self._known.move_to_end((answer, truth))
                return known
        result = self._ask(answer, truth)
        if result[0] is not Outcome.CRASHED:
            with self._lock:
                self._known[answer, truth] = result
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return result

    def same(self, answer: str, other: str) -> bool:
        """Whether two answers mean the same; what cannot be compared in time does not."""
        return self.compare(answer=answer, truth=other)[1]

    def _ask(self, answer: str, truth: str) -> tuple[Outcome, bool]:
        with self._free:
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                process = _GradingProcess(self._limits)
            try:
                result = process.ask(answer, truth)
            except BaseException:
                process.end()
                raise
            if process.usable:
                self._idle.put(process)
        return result


class _GradingProcess:
    """One `grading_process`, seen from here; used by one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        project = str(Path(__file__).resolve().parents[3])
        known = os.environ.get("PYTHONPATH")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "sweep.tasks.maths.grading_process",
                str(limits.cpu_seconds),
                str(limits.wall_seconds),
                str(limits.memory_bytes),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # verl loads the reward function by its path, from where the project need not be importable.
            env={**os.environ, "PYTHONPATH": os.pathsep.join([project, *([known] if known else [])])},
        )
        self._patience = limits.wall_seconds * 2
        self._owner = os.getpid()
        self._asked = False
        self.usable = True

    def ask(self, answer: str, truth: str) -> tuple[Outcome, bool]:
        # The process bounds the comparison; the limit here is for one that does not answer at all.
        patience = self._patience + (0.0 if self._asked else _START_SECONDS)
        self._asked = True
        try:
            self._process.stdin.write(json.dumps([answer, truth]).encode() + b"\n")
            self._process.stdin.flush()
            if readable([self._process.stdout.fileno()], seconds=patience):
                outcome, correct = json.loads(self._process.stdout.readline())
                return Outcome(outcome), bool(correct)
        except (OSError, ValueError):
            pass
        self.end()
        return Outcome.CRASHED, False

    def end(self) -> None:
        self.usable = False
        if self._owner != os.getpid():
            return  # this process was forked from the one that started it
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.wait()
