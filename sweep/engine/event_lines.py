"""``run --json`` and ``resume --json``: one JSON object per event on standard output, for programs.

Every line has ``event`` (what happened), ``time`` (UTC, ISO 8601) and ``seconds`` (since the study began); `EVENTS`
names what else each event has. These names are kept from version to version, and more may be added to them. Numbers are
finite; null stands for what is not known. The last line of a command is ``study_ended`` or ``error``.
"""

import datetime
import json
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sweep.engine.progress import Pace

if TYPE_CHECKING:
    from sweep.engine.trial_source import Outcome
    from sweep.study.plan import TrialPlan

EVENTS: dict[str, dict[str, str]] = {
    "study_started": {
        "study": "name of the study",
        "output": "its folder",
        "profile": "the profile that was chosen",
        "trials": "how many trials it has",
        "steps": "training steps a trial",
        "resumed": "whether `resume` went on with it",
    },
    "trial_known": {"trial": "key", "state": "how it ended before this command began"},
    "trial_started": {"trial": "key", "arm": "name of its arm", "seed": "its seed"},
    "phase": {
        "trial": "key",
        "phase": "what begins now: `starting verl and vLLM`, `ready`, `step` (which samples first), `log_probs`, "
        "`update`, `checkpoint` or `evaluation`",
        "step": "training steps done or begun",
    },
    "step": {
        "trial": "key",
        "step": "the training step that ended",
        "steps": "how many there will be",
        "metrics": "name in MLflow to value",
        "seconds_left": "until the study ends, at the pace so far",
    },
    "evaluation": {
        "trial": "key",
        "step": "after which step; 0 for the untrained model",
        "metrics": "`eval/BENCHMARK/avg_at_K` and others, shares; at step 0 `untrained/BENCHMARK/avg_at_K`",
    },
    "trial_retried": {
        "trial": "key",
        "reason": "why the attempt failed; the trial begins again, from its checkpoint if it has one",
    },
    "trial_resumed": {
        "trial": "key",
        "step": "training step of the checkpoint that it goes on from; 0 where it has none that can be used",
        "text": "the same in words, and why a newer checkpoint is not used; what came before is told again",
    },
    "trial_ended": {
        "trial": "key",
        "state": "`finished`, `failed` or `stopped early`",
        "step": "its last training step; null where it is not known",
        "reason": "why it failed, or why it is the same as another; else empty",
        "same_as": "key of the trial that it was proved to be and has the numbers of, without training; else empty",
        "ended": "trials of the study that have ended",
        "trials": "of how many",
        "seconds_left": "until the study ends, at the pace so far",
    },
    "report": {"paths": "files that were written: the PDF, and tables where there are any"},
    "study_ended": {
        "state": "`finished`, `failed` (a trial failed), `stopped` or `interrupted`",
        "finished": "how many trials finished, now or before",
        "failed": "keys of those that failed",
        "stopped_early": "keys of those that fell behind and were ended",
        "budget_spent": "the part of the budget that is used up, in words, or empty",
        "exit_code": "what the command ends with",
    },
    "error": {"message": "what is wrong and what to do; on standard error as well", "exit_code": "what it ends with"},
}


class EventLines:
    """Writes the lines; takes the place of `sweep.engine.progress.Progress` and of `ReplayProgress`."""

    def __init__(self, *, total: int, steps: int) -> None:
        """Begin to count the seconds."""
        self._total, self._steps = total, steps
        self._began = time.monotonic()
        self._pace = Pace(total=total, steps=steps)
        self._ends: dict[str, list[str]] = {"finished": [], "failed": [], "stopped early": []}

    def __enter__(self) -> "EventLines":
        """Nothing to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close: what follows the trials has lines as well."""

    def say(self, event: str, /, **values: Any) -> None:
        """Write one line, with what `EVENTS` promises and in that order."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = {"event": event, "time": now, "seconds": round(time.monotonic() - self._began, 3)}
        line |= {name: values.pop(name) for name in EVENTS[event]}
        if values:
            raise TypeError(f"{event} has no {', '.join(values)}")
        # Flushed, so that a reader sees it when it happens.
        print(json.dumps(line, allow_nan=False), flush=True)

    def trial_known(self, key: str, state: str) -> None:
        """A trial ended before this command began."""
        self._pace.known()
        self._ends[state].append(key)
        self.say("trial_known", trial=key, state=state)

    def trial_started(self, trial: "TrialPlan") -> None:
        """A trial was given to a slot."""
        self.say("trial_started", trial=trial.key, arm=trial.arm.name, seed=trial.seed)

    def phase(self, trial: "TrialPlan", what: str, step: int) -> None:
        """A trial entered a phase."""
        if what == "ready":
            self._pace.working(trial.key, step)
        self.say("phase", trial=trial.key, phase=what, step=step)

    def step(self, trial: "TrialPlan", step: int, metrics: Mapping[str, float]) -> None:
        """A training step ended."""
        self._pace.working(trial.key, step)
        left = self._left()
        self.say("step", trial=trial.key, step=step, steps=self._steps, metrics=_finite(metrics), seconds_left=left)

    def evaluation(self, trial: "TrialPlan", step: int, metrics: Mapping[str, float]) -> None:
        """An evaluation ended."""
        self.say("evaluation", trial=trial.key, step=step, metrics=_finite(metrics))

    def trial_retried(self, trial: "TrialPlan", reason: str) -> None:
        """An attempt failed and the trial is to be tried again."""
        self._pace.retried(trial.key)
        self.say("trial_retried", trial=trial.key, reason=reason)

    def trial_resumed(self, trial: "TrialPlan", step: int, what: str) -> None:
        """A trial goes on from a checkpoint, or has one that is not used."""
        self._pace.resumed(trial.key, step)
        self.say("trial_resumed", trial=trial.key, step=step, text=what)

    def trial_replayed(self, trial: "TrialPlan", outcome: "Outcome") -> None:
        """A trial of a replay ended; its start was not told, since it takes milliseconds."""
        self._pace.working(trial.key, 0)
        self.trial_ended(trial, outcome)

    def trial_settled(self, trial: "TrialPlan", outcome: "Outcome", metrics: Mapping[str, float]) -> None:
        """A trial was proved to be another one and has its numbers; it was never started."""
        self._pace.known()
        self._say_ended(trial, outcome)

    def trial_ended(self, trial: "TrialPlan", outcome: "Outcome") -> None:
        """A trial finished, failed, or fell behind others and was ended."""
        self._pace.trial_ended(trial.key)
        self._say_ended(trial, outcome)

    def _say_ended(self, trial: "TrialPlan", outcome: "Outcome") -> None:
        self._ends[outcome.state].append(trial.key)
        self.say(
            "trial_ended",
            trial=trial.key,
            state=outcome.state,
            step=outcome.step,
            reason=outcome.reason,
            same_as=outcome.same_as,
            ended=self._pace.ended,
            trials=self._total,
            seconds_left=self._left(),
        )

    def study_ended(self, *, state: str, exit_code: int, budget_spent: str = "") -> None:
        """The command ends."""
        self.say(
            "study_ended",
            state=state,
            finished=len(self._ends["finished"]),
            failed=self._ends["failed"],
            stopped_early=self._ends["stopped early"],
            budget_spent=budget_spent,
            exit_code=exit_code,
        )

    def _left(self) -> float | None:
        left = self._pace.seconds_left()
        return None if left is None else round(left, 1)


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
