"""The slot: a process, and a Ray job of its own, that keeps verl and vLLM alive and runs one trial after another.

Started as ``python -m sweep.engine.slot SPECIFICATION``. It reads one JSON request a line from standard input and ends
when standard input does, so it cannot outlive the trial runner that started it.
"""

import contextlib
import json
import math
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from iskpo.verl.checkpoint import Checkpointing, CutOff
from sweep.input.environment import LOOPBACK, QUIET, TEXT

Kind = Literal["resumed", "progress", "step", "samples", "traces", "cut off", "finished", "failed"]
# What a trial that goes on from a checkpoint reports again.
_MEASURED = ("step", "samples", "traces")
# The one key of a line that is not a trial: end the one that runs after its step.
END_TRIAL = "end_trial"
# What is finite in every step of a trial that is learning anything. verl skips an update whose gradient is not finite
# and goes on, and a trial that does so to its end looks like one that finished.
_ALWAYS_FINITE = ("actor/pg_loss", "actor/loss", "actor/grad_norm", "actor/ppo_kl", "critic/score/mean")


@dataclass(frozen=True)
class SlotSpecification:
    """What a slot needs to start.

    Attributes:
        address: Address of the Ray cluster.
        namespace: Unique name of the slot inside the cluster.
        overrides: verl settings shared by all trials of the slot.
        environment: Environment variables of every process of the slot.
    """

    address: str
    namespace: str
    overrides: dict[str, Any]
    environment: dict[str, str]

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "SlotSpecification":
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class TrialRequest:
    """One trial to run.

    Attributes:
        folder: The trial's folder, for events, samples and configuration.
        overrides: verl settings of this trial on top of the slot's.
        seed: The trial's seed.
        checkpoints: How it is checkpointed, and what it goes on from.
    """

    folder: str
    overrides: dict[str, Any]
    seed: int
    checkpoints: Checkpointing

    @classmethod
    def read(cls, fields: dict[str, Any]) -> "TrialRequest":
        """From what `dataclasses.asdict` made of one."""
        return cls(**{**fields, "checkpoints": Checkpointing(**fields["checkpoints"])})


@dataclass(frozen=True)
class Event:
    """One thing that happened in a trial.

    Attributes:
        kind: ``resumed`` (which checkpoint the trial goes on from), ``progress`` (a sign of life), ``step`` (metrics of
            a training step), ``samples`` (an evaluation's file), ``traces`` (a step's log ratios), ``cut off`` (after
            a checkpoint, since the command is to end), ``finished`` or ``failed`` (the last event of a trial).
        step: Training step, 0 before the first.
        metrics: Name to value; only finite numbers.
        text: Path of the samples or traces in the trial's folder, name of the phase, or the reason of a failure.
        time: When it was written, seconds since 1970.
    """

    kind: Kind
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    text: str = ""
    time: float = field(default=0.0, compare=False)


def finite_numbers(data: dict[str, Any]) -> dict[str, float]:
    """The entries that are finite numbers, as Python floats; infinities and NaN have no JSON and no chart."""
    numbers: dict[str, float] = {}
    for name, value in data.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            numbers[name] = number
    return numbers


class EventWriter:
    """Appends events to a file, each flushed before the call returns."""

    def __init__(self, path: Path) -> None:
        """Open the file for appending, and create its folder."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a", encoding="utf-8")

    def write(self, event: Event) -> None:
        """Append one event."""
        self._file.write(json.dumps({**event.__dict__, "time": event.time or time.time()}) + "\n")
        self._file.flush()

    @property
    def closed(self) -> bool:
        """Whether the file has been closed: the trial is over."""
        return self._file.closed

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class EventReader:
    """Reads events from a file that another process is still writing."""

    def __init__(self, path: Path) -> None:
        """Begin at the start; the file may not exist yet."""
        self._path, self._position = path, 0

    def read(self) -> list[Event]:
        """Every complete line that has been added since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self._position += end
        return [Event(**json.loads(line)) for line in data[:end].splitlines()]


class NotFiniteError(RuntimeError):
    """A training step gave NaN or infinity where only a number means anything."""


def check_finite(*, metrics: Mapping[str, Any], step: int) -> None:
    """Look at the numbers of a training step as verl gives them.

    Raises:
        NotFiniteError: Loss, gradient, divergence or reward is NaN or infinite.
    """
    sick = [name for name in _ALWAYS_FINITE if name in metrics and not math.isfinite(float(metrics[name]))]
    if sick:
        raise NotFiniteError(f"step {step}: " + ", ".join(f"{name} is {float(metrics[name])}" for name in sick))


class EventListener:
    """Turns what the trainer reports into events.

    Paths are written as they are in the trial's folder, which may be moved between two attempts.
    """

    def __init__(self, events: EventWriter) -> None:
        """Write to an attempt's events."""
        self._events = events
        self._trial = events.path.parent.parent

    def log(self, data: dict[str, Any], step: int) -> None:
        """Metrics of one training step; raises NotFiniteError."""
        # Recorded first: the step before the end is what tells why.
        self._events.write(Event("step", step, finite_numbers(data)))
        check_finite(metrics=data, step=step)

    def samples(self, path: Path, step: int) -> None:
        """Every sample of one evaluation."""
        self._events.write(Event("samples", step, text=path.relative_to(self._trial).as_posix()))

    def traces(self, path: Path, step: int) -> None:
        """Log ratios of one training step."""
        self._events.write(Event("traces", step, text=path.relative_to(self._trial).as_posix()))

    def progress(self, what: str, step: int) -> None:
        """A sign of life."""
        self._events.write(Event("progress", step, text=what))

    def keep(self, path: Path) -> None:
        """Copy the events so far into a checkpoint."""
        shutil.copyfile(self._events.path, path)

    def repeat(self, path: Path) -> None:
        """Write what was measured before the checkpoint once more, with its times: an attempt's events are complete."""
        for event in EventReader(path).read():
            if event.kind in _MEASURED:
                self._events.write(event)


def _requests(end_trial: Callable[[], None]) -> "queue.Queue[TrialRequest]":
    """Requests from standard input; the process ends at its end, whatever else is going on."""
    pending: queue.Queue[TrialRequest] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            request = json.loads(line)
            if END_TRIAL in request:
                end_trial()
            else:
                pending.put(TrialRequest.read(request))
        # The Ray job ends with this process, and with it every worker that it started.
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return pending


def _connect(specification: SlotSpecification, config: Any, folder: Path) -> None:
    import ray
    from omegaconf import OmegaConf
    from verl.trainer.constants_ppo import get_ppo_ray_runtime_env

    found = get_ppo_ray_runtime_env(config)
    runtime: Any = OmegaConf.to_container(found) if OmegaConf.is_config(found) else dict(found)
    variables = {**runtime.get("env_vars", {}), **QUIET, **TEXT, **specification.environment}
    variables["TRANSFER_QUEUE_ENABLE"] = "1"
    if LOOPBACK.items() <= os.environ.items():
        # The policy's processes, all on this machine, meet in a file: torch's TCP store listens to every network.
        variables["DIST_INIT_METHOD"] = f"file://{tempfile.mkdtemp()}/processes"
    with contextlib.chdir(folder):  # as in `sweep.engine.own_ray`
        ray.init(
            address=specification.address,
            namespace=specification.namespace,
            runtime_env={**runtime, "env_vars": variables},
            log_to_driver=True,
        )


def main(path: Path) -> None:
    """Start verl and vLLM, then run trials until standard input ends."""
    specification = SlotSpecification.read(path)
    # Filled once there is a session; nobody ends a trial before one has begun.
    sessions: list[Any] = []
    pending = _requests(lambda: sessions[0].end_trial_early())
    request = pending.get()
    events = EventWriter(Path(request.folder) / "events.jsonl")
    watch: Any = None

    def end(reason: str) -> None:
        print(reason, flush=True)
        if not events.closed:
            events.write(Event("failed", text=reason))
        os._exit(1)

    try:
        events.write(Event("progress", text="starting verl and vLLM"))
        import verl  # noqa: F401  (loads the plug-in)

        from iskpo.verl import plugin
        from iskpo.verl.session import Session
        from iskpo.verl.watch import Watch

        assert plugin.LOADED
        # Connected as soon as possible: Ray's processes then import verl beside this one.
        session = Session(overrides=specification.overrides)
        _connect(specification, session.config, Path(request.folder))
        watch = Watch()
        watch.begin(died=end)
        session.start()
        sessions.append(session)
        while True:
            try:
                session.run_trial(
                    overrides=request.overrides,
                    seed=request.seed,
                    listener=EventListener(events),
                    folder=Path(request.folder),
                    checkpoints=request.checkpoints,
                )
                events.write(Event("finished"))
            except CutOff as cut:
                events.write(Event("cut off", cut.args[0]))
            events.close()
            request = pending.get()
            events = EventWriter(Path(request.folder) / "events.jsonl")
    except BaseException as error:
        # Half-finished work may still be in the workers: a slot that failed is not used again.
        traceback.print_exc()
        begun = "" if sessions else "verl did not start: "
        # What an actor raised, without Ray's frames around it.
        cause = getattr(error, "cause", None) or error
        end((watch and watch.death()) or f"{begun}{type(cause).__name__}: {cause}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
