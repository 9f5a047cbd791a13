"""Optuna asked for arms, one after another, with everything that it knows in a file that outlives this process.

The file is Optuna's own SQLite storage: `optuna-dashboard sqlite:///OUTPUT/optuna.db` shows it while the study runs.
Samplers look at a copy in memory, which is read from the file once: Optuna asks its storage dozens of times a trial.
One process at a time may use a file, and takes over what the process before had begun:

- A trial is written with all its parameters in one transaction before it is handed out, so there is never half of one.
- A trial that was handed out and never told is handed out again, first, under its own number and with its own arm. So
  none is lost and none is there twice, whenever the process before was killed.
- A sampler's random numbers depend on the seed and on the trial's number alone, and everything else that it looks at
  is in the file. So a study that was killed chooses what it would have chosen, if results arrive in the same order.
"""

import logging
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sweep.arms.arm import Arm
from sweep.arms.objectives import DIRECTIONS, current_name
from sweep.arms.verl_settings import Value
from sweep.input.errors import UserError
from sweep.search_spaces.base import ArmDefaults
from sweep.search_spaces.optuna import OptunaSpace
from sweep.search_spaces.optuna_parameters import NUMBERS, Parameter
from sweep.store.study_store import keep_journal

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.samplers import BaseSampler

_SPACE = "iskpo_space"
_FAILURE = "failure"


class OptunaSuggester:
    """Hands out arms and takes their results.

    Args:
        space: What is searched, and how.
        defaults: The study's values for what the space leaves open.
        storage_path: The SQLite file; made where there is none.
        study_name: The study's name in it.

    Raises:
        UserError: The file holds this study with another space; only `trials` may grow.
    """

    def __init__(self, *, space: OptunaSpace, defaults: ArmDefaults, storage_path: Path, study_name: str) -> None:
        """Open the storage, or make it."""
        import optuna

        # Optuna reports every trial on standard error, and calls what has been there for years experimental.
        logging.getLogger("optuna").setLevel(logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self._space, self._defaults = space, defaults
        directions = [DIRECTIONS[objective] for objective in space.objective]
        self._file = optuna.storages.RDBStorage(
            f"sqlite:///{storage_path.resolve()}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        keep_journal(self._file.engine)
        self._kept = optuna.create_study(
            storage=self._file,
            study_name=study_name,
            directions=directions,
            sampler=optuna.samplers.RandomSampler(),
            load_if_exists=True,
        )
        self._check_space(storage_path)
        self._memory = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(storage=self._memory, directions=directions)
        for name, value in self._file.get_study_system_attrs(self._kept._study_id).items():
            self._memory.set_study_system_attr(self._study._study_id, name, value)
        trials = self._kept.get_trials(deepcopy=False)
        self._study.add_trials(trials)
        self._begun = [trial for trial in trials if not trial.state.is_finished()]
        self._told = [trial for trial in trials if trial.state.is_finished()]
        # The file's own number of each trial, which counts those of all studies in it.
        self._identities = [trial._trial_id for trial in trials]

    def _check_space(self, path: Path) -> None:
        described = _description(self._space, self._defaults)
        known: dict[str, Any] | None = self._kept.user_attrs.get(_SPACE)
        if known is None:
            self._kept.set_user_attr(_SPACE, described)
            return
        # Earlier versions wrote the objectives' former names.
        known = {**known, "objective": [current_name(name) for name in known.get("objective", ())]}
        if changed := [key for key in described if known.get(key) != described[key]]:
            raise UserError(
                f"{path} holds this study with another space: {', '.join(changed)} changed; "
                "only trials may grow, anything else is a new study with an output folder of its own"
            )

    @property
    def asked(self) -> int:
        """Trials handed out so far, by this process or others before it."""
        return len(self._identities)

    def told(self) -> list[Arm]:
        """Arms whose results the file had when it was opened."""
        return [self._arm(trial.number, trial.params) for trial in self._told]

    def begun(self) -> list[Arm]:
        """Arms that were handed out and never told when it was opened; `ask` hands these out again, first."""
        return [self._arm(trial.number, trial.params) for trial in self._begun]

    def ask(self) -> tuple[int, Arm] | None:
        """The next arm, with its number; None when all trials of the space have been handed out."""
        if self._begun:
            trial = self._begun.pop(0)
            return trial.number, self._arm(trial.number, trial.params)
        if self.asked >= self._space.trials:
            return None
        self._study.sampler = _sampler(self._space, number=self.asked)
        asked = self._study.ask()
        values: dict[str, Value] = {}
        for name, parameter in self._space.parameters.items():
            if self._space.exists(name, values):
                values[name] = _value(asked, name, parameter)
        self._keep(asked)
        return asked.number, self._arm(asked.number, values)

    def _keep(self, asked: "Trial") -> None:
        """Write a new trial to the file, and what the sampler noted for later (NSGA-II: whose generation it is)."""
        from optuna.trial import TrialState, create_trial

        template = create_trial(
            state=TrialState.RUNNING,
            params=asked.params,
            distributions=asked.distributions,
            system_attrs=self._memory.get_trial_system_attrs(asked._trial_id),
        )
        self._identities.append(self._file.create_new_trial(self._kept._study_id, template_trial=template))
        noted = self._memory.get_study_system_attrs(self._study._study_id)
        before = self._file.get_study_system_attrs(self._kept._study_id) if noted else {}
        for name in noted.keys() - before.keys():
            self._file.set_study_system_attr(self._kept._study_id, name, noted[name])

    def _arm(self, number: int, sampled: Mapping[str, Value]) -> Arm:
        values: dict[str, Value] = {}
        for name, parameter in self._space.parameters.items():
            if self._space.exists(name, values):
                value = parameter.value if parameter.value is not None else sampled[name]
                values[name] = float(value) if isinstance(value, int) and name in NUMBERS else value
        return self._space.arm(number=number, values=values, defaults=self._defaults)

    def tell(
        self,
        *,
        number: int,
        metrics: Mapping[str, float] | None = None,
        failure: str = "",
        stopped_at: int | None = None,
    ) -> None:
        """Record how a trial ended. Telling the same again changes nothing: when in doubt, tell twice.

        Args:
            number: The trial's number, from `ask`.
            metrics: Name of each objective to its value; others are ignored. A value that is not finite is a failure.
            failure: Why there is no result, where there are no metrics.
            stopped_at: The step after which the trial was ended because it fell behind; its metrics are then those of
                that step, and Optuna has it as pruned there. Studies with one objective only.

        Raises:
            ValueError: The trial ended otherwise before.
        """
        from optuna.trial import TrialState

        values: list[float] | None = None
        if metrics is not None:
            values = [float(metrics[name]) for name in self._space.objective]
            if odd := [name for name in self._space.objective if not math.isfinite(metrics[name])]:
                values, failure = None, f"{' and '.join(odd)} not finite"
        state = TrialState.COMPLETE if values is not None else TrialState.FAIL
        trial = self._study.get_trials(deepcopy=False)[number]
        if values is not None and stopped_at is not None:
            # Optuna takes the last value reported along the way for a pruned trial's own.
            state = TrialState.PRUNED
            if not trial.state.is_finished():
                self._file.set_trial_intermediate_value(self._identities[number], stopped_at, values[0])
                self._memory.set_trial_intermediate_value(trial._trial_id, stopped_at, values[0])
        if trial.state.is_finished():
            if trial.state != state or (values is not None and trial.values != values):
                raise ValueError(f"trial {number} ended before, as {trial.state.name} with {trial.values}")
            return
        if failure:
            self._file.set_trial_user_attr(self._identities[number], _FAILURE, failure[:2000])
        self._file.set_trial_state_values(self._identities[number], state, values)
        self._study.tell(number, None if state == TrialState.PRUNED else values, state=state)
        self._begun = [begun for begun in self._begun if begun.number != number]


def _value(trial: "Trial", name: str, parameter: Parameter) -> Value:
    if parameter.value is not None:
        return parameter.value
    if parameter.choices is not None:
        return cast(Value, trial.suggest_categorical(name, parameter.choices))
    low, high = parameter.low, parameter.high
    assert low is not None
    assert high is not None
    if parameter.type == "int":
        return trial.suggest_int(name, int(low), int(high), step=int(parameter.step or 1), log=parameter.log)
    return trial.suggest_float(name, low, high, step=parameter.step, log=parameter.log)


def _sampler(space: OptunaSpace, *, number: int) -> "BaseSampler":
    """The sampler for one trial: its random numbers begin anew with each, so that none of its state is in memory."""
    from optuna import samplers

    seed = int(np.random.SeedSequence([space.sampler_seed, number]).generate_state(1)[0])
    if space.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    if space.sampler == "nsga2":
        return samplers.NSGAIISampler(seed=seed)
    if space.sampler == "gp":
        return samplers.GPSampler(seed=seed, warn_independent_sampling=False)
    # Groups: parameters that exist under the same condition are sampled together.
    conditional = any(parameter.when for parameter in space.parameters.values())
    return samplers.TPESampler(seed=seed, multivariate=True, group=conditional)


def _description(space: OptunaSpace, defaults: ArmDefaults) -> dict[str, Any]:
    """What must stay the same for results to be comparable."""
    return {
        "sampler": space.sampler,
        "sampler_seed": space.sampler_seed,
        "objective": list(space.objective),
        "parameters": space.ranges(),
        **vars(defaults),
    }
