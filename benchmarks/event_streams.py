"""Event streams of trials that were trained, played where a slot writes them; `benchmarks/scale.py` measures with them.

A stream is what a slot left of one trial: every event with its time, and the files that events name (samples, log
ratios). `PlayedSlot` stands in the place of the slot's process, and is the one thing that is not the product's: verl
and vLLM do not run. It writes the same lines to the same file, so many times as fast as they were recorded, and the
product's own trial runner reads them, compares the echo with the plan, and hands them to the driver. What it echoes of
verl's settings is what it was asked for, since a stream may be of another version's profile.
"""

import math
import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray import cloudpickle
from typing_extensions import override

from iskpo.verl.names import ECHOES
from sweep.engine.slot import Event, EventReader, EventWriter, SlotSpecification, TrialRequest
from sweep.engine.slot_process import SlotProcess
from sweep.engine.trial_runner import TrialRunner
from sweep.store.mlflow_tables import recorded_runs
from sweep.store.study_folder import artifact_folder, attempts, trial_folder
from sweep.store.trial_log import note_place


@dataclass(frozen=True)
class Stream:
    """What a trial wrote.

    Attributes:
        events: Each with the seconds from verl's being ready to it, 0 for what came before.
        files: Path in the trial's folder, as events name it, to where the file is now.
        configuration: Where ``resolved.yaml`` is.
    """

    events: tuple[tuple[float, Event], ...]
    files: dict[str, Path]
    configuration: Path

    @property
    def seconds(self) -> float:
        """How long the trial took once verl was ready."""
        return self.events[-1][0]

    def play(self, *, folder: Path, rate: float, echoes: dict[str, float]) -> None:
        """Write the events and files into an attempt's folder.

        Args:
            folder: The attempt's.
            rate: How many times as fast as it was recorded; infinity for all at once.
            echoes: Metrics that every training step has beside its own.
        """
        shutil.copyfile(self.configuration, folder / self.configuration.name)
        writer, began = EventWriter(folder / "events.jsonl"), time.monotonic()
        for seconds, event in self.events:
            time.sleep(max(0.0, began + seconds / rate - time.monotonic()))
            if event.text in self.files:
                # The attempt of the recorded trial may have had another number.
                path = folder / event.text.partition("/")[2]
                path.parent.mkdir(exist_ok=True)
                shutil.copyfile(self.files[event.text], path)
                event = replace(event, text=path.relative_to(folder.parent).as_posix())
            if event.kind == "step" and event.step:
                event = replace(event, metrics={**event.metrics, **echoes})
            # Without its old time: how long it takes from here to the store is measured.
            writer.write(replace(event, time=0.0))
        writer.close()


def recorded_streams(output: Path) -> dict[str, Stream]:
    """The stream of the first finished trial of each arm that was trained, by arm.

    Args:
        output: Folder of a study that has ended.
    """
    streams: dict[str, Stream] = {}
    for run in recorded_runs(output, params=True):
        if run.state != "finished" or run.same_as or run.params["arm"] in streams:
            continue
        attempt, trial = attempts(output, run.trial)[-1], trial_folder(output, run.trial)
        events = EventReader(attempt / "events.jsonl").read()
        ready = next(event.time for event in events if event.kind == "step" or event.text == "ready")
        traces = artifact_folder(output, run.run_id) / "traces"
        streams[run.params["arm"]] = Stream(
            events=tuple((max(0.0, event.time - ready), event) for event in events),
            files={
                # Log ratios have been moved to the run's artifacts.
                event.text: (traces / Path(event.text).name) if event.kind == "traces" else trial / event.text
                for event in events
                if event.kind in ("samples", "traces")
            },
            configuration=attempt / "resolved.yaml",
        )
    return streams


class PlayedSlot(SlotProcess):
    """A slot that plays streams. How its events are read and waited for is `SlotProcess`'s own."""

    def __init__(
        self, *, specification: SlotSpecification, folder: Path, streams: dict[str, Stream], rate: float
    ) -> None:
        """Start nothing."""
        folder.mkdir(parents=True, exist_ok=True)
        specification.write(folder / "slot.json")
        self._overrides, self._streams, self._rate = specification.overrides, streams, rate
        self.log = folder / "slot.log"
        self.log.touch()

    @property
    @override
    def alive(self) -> bool:
        """Always: it is a thread of its reader's process."""
        return True

    @override
    def begin(self, request: TrialRequest) -> None:
        """Play the stream of the trial's arm."""
        folder = Path(request.folder)
        self._reader = EventReader(folder / "events.jsonl")
        self._log_start = note_place(log=self.log, folder=folder)
        stream = self._streams[folder.parent.name.rpartition("_s")[0]]
        asked = {key.lstrip("+"): value for key, value in {**self._overrides, **request.overrides}.items()}
        echoes = {metric: float(asked[key]) for key, metric in ECHOES.items() if key in asked}
        threading.Thread(target=_play, args=(stream, folder, self._rate, echoes), daemon=True).start()

    @override
    def close(self) -> None:
        """Leave nothing to end."""


def _play(stream: Stream, folder: Path, rate: float, echoes: dict[str, float]) -> None:
    try:
        stream.play(folder=folder, rate=rate, echoes=echoes)
    except OSError as error:
        # A slot's own last word, which the runner waits for.
        EventWriter(folder / "events.jsonl").write(Event("failed", text=str(error)))


def playing_runner(*, recorded: Path, rate: float = math.inf) -> type[TrialRunner]:
    """The product's trial runner with `PlayedSlot` in place of slots.

    Args:
        recorded: Folder of a finished study with the same arms.
        rate: See `Stream.play`.
    """
    import sys

    # Workers need not find this folder.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])

    class PlayingRunner(TrialRunner):
        @override
        def setup(self, config: dict[str, Any], **arguments: Any) -> None:  # type: ignore[override]
            from functools import partial

            from sweep.engine import trial_runner

            made: Any = partial(PlayedSlot, streams=recorded_streams(recorded), rate=rate)
            trial_runner.SlotProcess = made
            super().setup(config, **arguments)

    return PlayingRunner
