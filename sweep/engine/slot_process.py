"""The runner's end of a slot: start the process, send it trials, read its events, watch its memory, end it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from iskpo.verl.patches.transfer_queue_namespace import VARIABLE as NAMESPACE
from sweep.engine.slot import END_TRIAL, Event, EventReader, SlotSpecification, TrialRequest
from sweep.store.trial_log import note_place

# Set by Ray for its own workers; a slot that inherited them would take itself for one.
_NOT_INHERITED = ("RAY_JOB_ID", "RAY_RAYLET_PID", "PYTHONDONTWRITEBYTECODE", "RAY_CLIENT_MODE")
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 20.0
_TAIL_LINES = 30
# A slot settles after its first trial; what then keeps growing is leaking, and would end in the kernel's out-of-memory
# killer, which takes whole studies.
_GROWTH = 1.5


class SlotDied(RuntimeError):  # noqa: N818  (it is what happened, and reads so)
    """The slot ended, or said nothing for too long, before its trial was finished."""


class SlotProcess:
    """A running slot."""

    def __init__(self, *, specification: SlotSpecification, folder: Path) -> None:
        """Start the process; verl starts with the first trial.

        Args:
            specification: What the slot needs to start.
            folder: Where the specification and ``slot.log`` go.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "slot.log"
        specification.write(folder / "slot.json")
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        if not environment.get(_VISIBLE):
            # An older Ray hides every GPU from an actor that has none, as the runner; verl looks for them.
            # What the user lets CUDA see is kept.
            environment.pop(_VISIBLE, None)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-u", "-m", "sweep.engine.slot", str(folder / "slot.json")],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**environment, **specification.environment},
                start_new_session=True,
                text=True,
            )
        self._reader: EventReader | None = None
        self._log_start = 0

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def begin(self, request: TrialRequest) -> None:
        """Send a trial."""
        assert self._process.stdin is not None
        self._reader = EventReader(Path(request.folder) / "events.jsonl")
        self._log_start = note_place(log=self.log, folder=Path(request.folder))
        try:
            self._process.stdin.write(json.dumps(asdict(request)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SlotDied(f"the slot had ended before the trial began\n{self.log_tail()}") from None

    def end_trial(self) -> None:
        """Ask the slot to end its trial after the step that runs; its last event is then that it has finished."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({END_TRIAL: True}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SlotDied("the slot had ended already") from None

    def events(self, *, patience: float) -> list[Event]:
        """Wait for events.

        Args:
            patience: Seconds of silence after which the slot counts as hung (an error in a vLLM worker hangs verl).

        Raises:
            SlotDied: The process ended without a last word, or was silent for too long.
        """
        assert self._reader is not None, "no trial has begun"
        deadline = time.monotonic() + patience
        while True:
            ended = not self.alive
            events = self._reader.read()
            if events:
                return events
            if ended:
                raise SlotDied(f"the slot has died: exit code {self._process.returncode}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise SlotDied(f"no progress for {patience:.0f} s; the slot was ended\n{self.log_tail()}")
            time.sleep(_POLL_SECONDS)

    def log_tail(self) -> str:
        """The last lines that the slot wrote during the current trial."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return b"\n".join(log.read().splitlines()[-_TAIL_LINES:]).decode(errors="replace")

    def close(self) -> None:
        """Ask the slot to end by closing its input, and insist after a while."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the slot's whole process group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def memory_of(namespace: str) -> int:
    """Bytes that a slot's processes on this machine take, shared pages counted once (PSS).

    A slot's workers are children of Ray and not of the slot; what they share is this environment variable.
    """
    total = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get(NAMESPACE) == namespace:
                total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return total


@dataclass
class SlotHealth:
    """Remembers what a slot took after its first trial."""

    namespace: str
    settled: int | None = None  # bytes after the first trial

    def complaint(self) -> str:
        """Why the slot should be replaced before its next trial, or "". Called between two trials."""
        now = memory_of(self.namespace)
        if self.settled is None:
            self.settled = now
            return ""
        if now <= _GROWTH * self.settled:
            return ""
        return f"its memory has grown from {self.settled / 1e9:.1f} to {now / 1e9:.1f} GB"
