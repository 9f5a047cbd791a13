"""How long the rest of a study takes, from what it has done so far."""

import time


class Pace:
    """Times a study's trials.

    The start of verl and vLLM counts for nothing, since only the first trial waits for it. Until a trial has ended, its
    training steps set the pace, which leaves out evaluation and so says too little; afterwards whole trials do,
    however many run side by side.

    Args:
        total: Trials of the study.
        steps: Training steps a trial.
    """

    def __init__(self, *, total: int, steps: int) -> None:
        """Nothing has been done."""
        self.ended = 0
        self._rest, self._steps = total, steps
        self._began: float | None = None
        self._last = 0.0
        self._ended_now = 0
        self._open: dict[str, int] = {}

    def known(self) -> None:
        """A trial ended before this command began; it sets no pace."""
        self.ended += 1
        self._rest -= 1

    def working(self, trial: str, step: int) -> None:
        """A trial is at a step, or ready for its first."""
        now = time.monotonic()
        if self._began is None:
            self._began = self._last = now
        if step > self._open.get(trial, 0) and not self._ended_now:
            self._last = now
        self._open[trial] = step

    def trial_ended(self, trial: str) -> None:
        """A trial finished, failed or was stopped early."""
        self._open.pop(trial, None)
        self.ended += 1
        self._ended_now += 1
        self._rest -= 1
        self._last = time.monotonic()

    def retried(self, trial: str) -> None:
        """A trial begins again at its first step."""
        self._open.pop(trial, None)

    def seconds_left(self) -> float | None:
        """Seconds until the last trial ends; None before anything tells."""
        done = self._ended_now or sum(self._open.values()) / self._steps
        if self._began is None or not done or self._last <= self._began:
            return None
        # Without an ended trial, what the open ones have done is part of the rest.
        rest = self._rest - (0 if self._ended_now else done)
        return max(0.0, (self._last - self._began) / done * rest - (time.monotonic() - self._last))

    def in_words(self) -> str:
        """The time that is left, for people; "" where nothing tells, or nothing is left."""
        seconds = self.seconds_left()
        if seconds is None or not self._rest:
            return ""
        if seconds < 60:
            return "less than a minute left"
        minutes = seconds / 60
        return f"about {minutes / 60:.1f} h left" if minutes >= 90 else f"about {round(minutes)} min left"
