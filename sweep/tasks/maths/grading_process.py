"""The process that grades: it forks a child for the work and kills it when it takes too much time or memory.

What is graded is a model's output, and under reinforcement learning whatever pays will be found: 9^{9^{9^9}} is six
characters of exponent and no machine can evaluate it. Only the kernel can stop a computation inside one instruction
of Python, so the child has limits that the kernel enforces: CPU time by a timer whose signal ends it, memory by
RLIMIT_AS. CPU time and not the clock, because verdicts must not depend on how busy the machine is; the clock, with a
limit of its own, is there for a child that does not compute.

The parent of that child is this process: single-threaded, so that it may fork, and with mpmath imported, so that a new
child is ready in milliseconds. It serves the process that started it over pipes, a JSON line ``[answer, truth,
matching]`` for a JSON line ``[outcome, correct, rule, answer read, truth read]``, and ends with its standard input.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Compare = Callable[..., Sequence[bool | str]]
"""``compare(answer, truth, matching)``: whether the answer is right, whether it was read, and what else is told."""


class Outcome(StrEnum):
    """How a grading ended."""

    GRADED = "graded"
    UNPARSED = "unparsed"
    """There is no answer, or none that can be read."""
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    """The child ended for another reason: memory, or an error of the interpreter."""


@dataclass(frozen=True)
class Limits:
    """What one grading may take.

    Attributes:
        cpu_seconds: CPU time.
        wall_seconds: Time by the clock.
        memory_bytes: Address space of the child, of which Python with mpmath takes about 40 MB.
    """

    cpu_seconds: float = 2.0
    wall_seconds: float = 60.0
    memory_bytes: int = 1 << 29


def readable(descriptors: list[int], *, seconds: float) -> list[int]:
    """The descriptors that can be read from, or have ended, within so many seconds."""
    poll = select.poll()  # select itself takes no descriptor above 1023, and a Ray worker may have more
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(seconds * 1000)]


class _Lines:
    """Lines from a file descriptor, without a buffer that `select` does not know of."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._read = descriptor, b""

    def next(self) -> bytes | None:
        """The next line, or None at the end."""
        while b"\n" not in self._read:
            if not (more := os.read(self._descriptor, 65536)):
                return None
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        return line


class GradingChild:
    """A forked child that compares one pair of answers after another."""

    def __init__(self, *, compare: Compare, limits: Limits) -> None:
        """Fork."""
        request_read, self._requests = os.pipe()
        self._replies, reply_write = os.pipe()
        self._limits = limits
        self._pid: int | None = os.fork()
        if self._pid == 0:
            try:
                os.close(self._requests)
                os.close(self._replies)
                _serve(compare, limits, request_read, reply_write)
            finally:
                os._exit(1)
        os.close(request_read)
        os.close(reply_write)
        self._lines = _Lines(self._replies)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._pid is not None

    def ask(self, request: bytes, *, interrupt: int) -> list[Any] | None:
        """Outcome, verdict, and what else was told of one request, or None when ``interrupt`` became readable first."""
        try:
            os.write(self._requests, request + b"\n")
        except BrokenPipeError:
            return self._ended(timed_out=False)
        ready = readable([self._replies, interrupt], seconds=self._limits.wall_seconds)
        if not ready:
            return self._ended(timed_out=True)
        if self._replies not in ready:
            self.end()
            return None
        if (line := self._lines.next()) is None:
            return self._ended(timed_out=False)
        tired, correct, legible, *told = json.loads(line)
        if tired:
            self.end()
        return [Outcome.GRADED if correct or legible else Outcome.UNPARSED, correct, *told]

    def end(self) -> int:
        """Kill it and return how it ended, as `os.wait` reports it."""
        if self._pid is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        self._pid = None
        os.close(self._requests)
        os.close(self._replies)
        return status

    def _ended(self, *, timed_out: bool) -> list[Any]:
        status = self.end()
        by_timer = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
        return [Outcome.TIMED_OUT if timed_out or by_timer else Outcome.CRASHED, False]


def _serve(compare: Compare, limits: Limits, requests: int, replies: int) -> None:
    """In the child: answer until the requests end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is printed must not reach the starter's pipe, and nothing they do may write a file.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    lines = _Lines(requests)
    while (line := lines.next()) is not None:
        # SIGPROF is left at its default, which ends the process whatever it is doing.
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
        try:
            result = compare(*json.loads(line))
        except MemoryError:
            return
        except Exception:  # whatever an answer can bring about in a library, it is wrong
            result = (False, False)
        signal.setitimer(signal.ITIMER_PROF, 0)
        # A child that has grown would be refused memory that a fresh one is given.
        tired = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > limits.memory_bytes // 2
        os.write(replies, json.dumps([tired, *result]).encode() + b"\n")


def main() -> None:
    """Serve standard input until it ends; the arguments are the limits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the starter ends this process
    limits = Limits(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
    from sweep.tasks.maths.answers.equivalence import compare

    def told(answer: str, truth: str, matching: str) -> Sequence[bool | str]:
        return tuple(vars(compare(answer, truth, matching)).values())

    # Children share what was loaded: their collections leave it alone, and are few, since memory has a limit anyway.
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    lines, child = _Lines(0), None
    while (request := lines.next()) is not None:
        if child is None or not child.alive:
            child = GradingChild(compare=told, limits=limits)
        if (reply := child.ask(request, interrupt=0)) is None:
            return
        os.write(1, json.dumps(reply).encode() + b"\n")
    if child is not None:
        child.end()


if __name__ == "__main__":
    main()
