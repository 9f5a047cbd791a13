"""The Tune trainable: hands its slot one trial after another and reports the slot's events as Tune results."""

import math
import os
import shutil
import socket
import uuid
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.util import get_current_placement_group
from typing_extensions import override

from iskpo.settings import CHOICES, FilterSettings, echoed_settings
from iskpo.verl.checkpoint import Checkpointing, choose, training_settings
from iskpo.verl.names import CORRECTION_ECHO, ECHOES, PLACEMENT_GROUP, ROLLOUT_BYPASS, ROLLOUT_WEIGHTS, echo
from iskpo.verl.patches.transfer_queue_namespace import VARIABLE as NAMESPACE
from sweep.arms.arm import Arm
from sweep.arms.losses import NEIGHBOURS
from sweep.arms.verl_settings import short_name
from sweep.engine.settings import BatchSizes, trial_overrides
from sweep.engine.slot import Event, SlotSpecification, TrialRequest
from sweep.engine.slot_process import SlotDied, SlotHealth, SlotProcess
from sweep.engine.trial_source import from_config
from sweep.store.study_folder import STUDY_FILE, checkpoint_folder, new_attempt, notice, trial_folder
from sweep.study.early_stopping import STEP, VALUE, Metric, value_of
from sweep.study.plan import TrialPlan

# verl echoes the numbers it was given; anything beyond rounding means that the trial trained with other parameters.
_ECHO_TOLERANCE = 1e-9
# Silence that a slot is allowed while verl and vLLM start, and between two events.
_PATIENCE_SECONDS = 900.0


class TrialFailed(RuntimeError):  # noqa: N818  (it is what happened, and reads so)
    """A trial ended without its result; the message says why, with the slot's last lines."""


def check_echo(*, trial: TrialPlan, metrics: dict[str, float], planned: Mapping[str, Any]) -> None:
    """Compare what loss, optimizer, sampler, worker and trainer report of themselves with the plan.

    Args:
        trial: The plan's.
        metrics: Of one training step.
        planned: verl settings of the trial, by dotted key.

    Raises:
        TrialFailed: Something is missing or differs.
    """
    planned_advantage, advantage = trial.arm.advantage, _chosen(metrics, "advantage/")
    if planned_advantage is not None and advantage != planned_advantage:
        raise TrialFailed(f"the plan says advantage = {planned_advantage}, the trainer ran with {advantage or 'none'}")
    if trial.arm.filter is None:
        _check_neighbour(arm=trial.arm, metrics=metrics)
    else:
        _check_filter(planned=trial.arm.filter, metrics=metrics)
    for key, metric in ECHOES.items():
        if key in planned:
            _check_number(short_name(key), float(planned[key]), metrics.get(metric))
    for key, value in trial.arm.verl_settings().items():
        if key not in ECHOES:
            _check_setting(key.lstrip("+"), value, metrics)
    if ROLLOUT_BYPASS in planned:
        _check_correction(planned, metrics)


def _check_number(name: str, planned: float, echoed: float | None) -> None:
    if echoed is None:
        raise TrialFailed(f"the trial did not report the {name} it ran with; the plan says {planned:g}")
    if not math.isclose(planned, echoed, rel_tol=_ECHO_TOLERANCE):
        raise TrialFailed(f"the plan says {name} = {planned:g}, the trial ran with {echoed:g}")


def _check_setting(key: str, value: Any, metrics: dict[str, float]) -> None:
    ((metric, number),) = echo(key, value).items()
    if metric == f"setting/{key}":
        _check_number(key, number, metrics.get(metric))
    elif metric not in metrics:
        ran = _chosen(metrics, f"setting/{key}/") or "none"
        raise TrialFailed(f"the plan says {key} = {value}, the trial ran with {ran}")


def _check_correction(planned: Mapping[str, Any], metrics: dict[str, float]) -> None:
    """Whether what the loss was given is what the plan's correction of the rollout makes of it."""
    wanted = "bypass" if planned[ROLLOUT_BYPASS] else "weights" if planned.get(ROLLOUT_WEIGHTS) else "none"
    given = _chosen(metrics, CORRECTION_ECHO)
    # A micro-batch in which both policies agree to the last digit cannot be told from bypass.
    if given not in (wanted, f"bypass, {wanted}"):
        raise TrialFailed(f"the plan says rollout correction = {wanted}, the loss was given {given or 'nothing'}")


def _check_filter(*, planned: FilterSettings, metrics: dict[str, float]) -> None:
    for name, echoed in echoed_settings(metrics).items():
        value = getattr(planned, name)
        # An infinite kappa is no metric: those are finite.
        if not echoed and value != math.inf:
            raise TrialFailed(f"the loss did not report the {name} it ran with: the IS-KPO loss was not in the loop")
        for other in echoed:
            if not (value == other if name in CHOICES else math.isclose(value, other, rel_tol=_ECHO_TOLERANCE)):
                raise TrialFailed(f"the plan says {name} = {value}, the loss ran with {', '.join(map(str, echoed))}")


def _check_neighbour(*, arm: Arm, metrics: dict[str, float]) -> None:
    if "kalman/q" in metrics:
        raise TrialFailed(f"the plan says loss = {arm.loss}, the IS-KPO loss was in the loop")
    planned = NEIGHBOURS[arm.loss].loss_mode
    if (chosen := _chosen(metrics, "loss/mode/")) != planned:
        raise TrialFailed(f"the plan says loss = {arm.loss}, verl's {planned}; verl ran with {chosen or 'none'}")


def _chosen(metrics: dict[str, float], prefix: str) -> str:
    """What is reported as chosen, as the end of a metric's name; several where there is more than one."""
    return ", ".join(sorted(metric.removeprefix(prefix) for metric in metrics if metric.startswith(prefix)))


class TrialRunner(tune.Trainable):
    """One slot's runner. Tune reuses it (`reuse_actors`), so the slot stays warm from trial to trial."""

    _health: SlotHealth

    @override
    def setup(  # type: ignore[override]  # the others are given by `tune.with_parameters`
        self,
        config: dict[str, Any],
        *,
        slot_specification: SlotSpecification,
        output: str,
        sizes: BatchSizes,
        steps: int,
        samples: int,
        checkpoint_every: int,
        compared: Metric | None = None,
    ) -> None:
        """Start a slot inside the runner's own placement group, and its first trial.

        Args:
            config: The trial.
            slot_specification: What a slot needs to start; its namespace is filled in here.
            output: The study's folder.
            sizes: What an arm's batch sizes follow from.
            steps: Training steps of a trial.
            samples: Samples a problem in evaluations.
            checkpoint_every: Steps from one checkpoint to the next; 0 for none.
            compared: What early stopping compares; None where nothing is ended early.

        Raises:
            RuntimeError: This node does not have the study's folder.
        """
        self._specification, self._output = slot_specification, Path(output)
        if not (self._output / STUDY_FILE).is_file():
            # A node that joined after the start, when the others were asked.
            raise RuntimeError(f"{socket.gethostname()} does not see {output}, which all nodes must share")
        # A slot's process inherits its runner's variables.
        group = get_current_placement_group()
        assert group is not None, "Tune starts every trial in a placement group"
        os.environ[PLACEMENT_GROUP] = group.id.hex()
        self._sizes, self._slot_settings = sizes, dict[str, Any]()
        self._steps, self._samples, self._compared = steps, samples, compared
        self._checkpoint_every = checkpoint_every
        self._slot: SlotProcess | None = None
        self._ended = False
        self._begin(config)

    @override
    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next trial in the slot that is already warm."""
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        if self._slot is not None and self._slot.alive and not self._ended:
            self._end_early()
        self._trial = from_config(config)
        folder = new_attempt(self._output, self._trial.key)
        self._ended = False
        warm = self._slot is not None and self._slot.alive
        wanted = self._trial.arm.slot_settings
        if warm and (complaint := self._complaint(wanted)):
            print(f"replacing slot {self._health.namespace}: {complaint}", flush=True)
            self.cleanup()
            warm = False
        if not warm:
            name = f"slot-{uuid.uuid4().hex[:8]}"
            namespace = {NAMESPACE: f"transfer_queue_{name}"}
            self._health = SlotHealth(namespace=namespace[NAMESPACE])
            specification = replace(
                self._specification,
                namespace=name,
                overrides={**self._specification.overrides, **self._sizes.of(self._trial.arm), **wanted},
                environment={**self._specification.environment, **namespace},
            )
            self._slot = SlotProcess(specification=specification, folder=self._output / "slots" / name)
            self._slot_settings = wanted
        assert self._slot is not None
        overrides = trial_overrides(trial=self._trial, folder=folder, sizes=self._sizes)
        complete = {**self._specification.overrides, **overrides}
        self._planned = {key.lstrip("+"): value for key, value in complete.items()}
        checkpoints = checkpoint_folder(self._output, self._trial.key)
        chosen = choose(checkpoints, settings=training_settings(complete))
        self._pending = [Event("resumed", chosen.step, {"seconds": chosen.seconds}, str(chosen))] if str(chosen) else []
        self._slot.begin(
            TrialRequest(
                folder=str(folder),
                overrides=overrides,
                seed=self._trial.seed,
                checkpoints=Checkpointing(
                    folder=str(checkpoints),
                    every=self._checkpoint_every,
                    notice=str(notice(self._output)),
                    resumed=str(chosen.path or ""),
                ),
            )
        )

    def _complaint(self, wanted: Mapping[str, Any]) -> str:
        """Why the slot cannot take the next trial as it is, or ""."""
        if changed := {key for key, _ in wanted.items() ^ self._slot_settings.items()}:
            return f"a warm one cannot change {', '.join(sorted(changed))}"
        return self._health.complaint()

    def _end_early(self) -> None:
        """End the trial that Tune has stopped at its next step; the slot stays warm for the one after."""
        assert self._slot is not None
        events = self._pending
        try:
            self._slot.end_trial()
            while not any(event.kind == "finished" for event in events):
                events = self._slot.events(patience=_PATIENCE_SECONDS)
        except SlotDied as error:
            print(f"replacing the slot: {error}", flush=True)
            self._slot.kill()
        shutil.rmtree(checkpoint_folder(self._output, self._trial.key), ignore_errors=True)

    @override
    def step(self) -> dict[str, Any]:
        """The slot's next event as a Tune result; ``done`` with the last."""
        assert self._slot is not None
        if not self._pending:
            self._pending = self._slot.events(patience=_PATIENCE_SECONDS)
        event = self._pending.pop(0)
        if event.kind in ("samples", "traces"):
            event = replace(event, text=str(trial_folder(self._output, self._trial.key) / event.text))
        if event.kind == "samples":
            from sweep.store.trial_tables import keep_samples

            table, shares = keep_samples(Path(event.text), step=event.step, k=self._samples)
            event = replace(event, text=str(table), metrics=shares)
        if event.kind == "failed":
            self._ended = True
            raise TrialFailed(f"{event.text}\n{self._slot.log_tail()}")
        if event.kind == "step" and event.step > 0:
            check_echo(trial=self._trial, metrics=event.metrics, planned=self._planned)
        self._ended = event.kind == "finished"
        # Pairs, since Tune keeps statistics of every number in a mapping, and writes all of them to disk at the end.
        return self._compare(event) | {
            "event": asdict(event) | {"metrics": list(event.metrics.items())},
            "done": event.kind == "finished",
        }

    def _compare(self, event: Event) -> dict[str, float]:
        """What the scheduler looks at; nothing after the last step, when there is nothing left to save."""
        if self._compared is None or event.kind not in ("step", "samples") or not 0 < event.step < self._steps:
            return {}
        value = value_of(self._compared, kind=event.kind, metrics=event.metrics)
        return {} if value is None else {STEP: event.step, VALUE: value}

    @override
    def cleanup(self) -> None:
        """End the slot."""
        if self._slot is not None:
            self._slot.close()
