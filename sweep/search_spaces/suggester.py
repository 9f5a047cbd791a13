"""Optuna asked for arms, one after another, with everything that it knows in a file that outlives this process.

The file is Optuna's own SQLite storage: `optuna-dashboard sqlite:///OUTPUT/optuna.db` shows it while the study runs.
One process at a time may use it; whoever opens it takes over what the process before had begun:

- A trial that was asked for and never told is handed out again, first, under its own number and with its own arm. So
  none is lost and none is there twice, whenever the process before was killed.
- A sampler's random numbers depend on the seed and on the trial's number alone, and everything else that it looks at
  is in the file. So a study that was killed chooses what it would have chosen, if results arrive in the same order.
"""

import logging
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sweep.errors import UserError
from sweep.plan import Arm
from sweep.search_spaces.base import ArmDefaults
from sweep.search_spaces.optuna import DIRECTIONS, OptunaSpace
from sweep.search_spaces.optuna_parameters import Parameter, Value

if TYPE_CHECKING:
    from optuna import Study, Trial
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
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{storage_path.resolve()}", engine_kwargs={"connect_args": {"timeout": 60}}
        )
        self._study: Study = optuna.create_study(
            storage=storage,
            study_name=study_name,
            directions=[DIRECTIONS[objective] for objective in space.objective],
            sampler=_sampler(space, number=0),
            load_if_exists=True,
        )
        self._check_space(storage_path)
        trials = self._study.get_trials(deepcopy=False)
        self._asked = len(trials)
        self._begun = [trial.number for trial in trials if trial.state == optuna.trial.TrialState.RUNNING]

    def _check_space(self, path: Path) -> None:
        described = _description(self._space, self._defaults)
        known: dict[str, Any] | None = self._study.user_attrs.get(_SPACE)
        if known is None:
            self._study.set_user_attr(_SPACE, described)
        elif changed := [key for key in described if known.get(key) != described[key]]:
            raise UserError(
                f"{path} holds this study with another space: {', '.join(changed)} changed; "
                "only trials may grow, anything else is a new study with an output folder of its own"
            )

    def ask(self) -> tuple[int, Arm] | None:
        """The next arm, with its number; None when all trials of the space have been handed out."""
        import optuna

        if self._begun:
            number = self._begun.pop(0)
            self._study.sampler = _sampler(self._space, number=number)
            return number, self._suggest(optuna.Trial(self._study, self._identity(number)))
        if self._asked >= self._space.trials:
            return None
        self._study.sampler = _sampler(self._space, number=self._asked)
        trial = self._study.ask()
        self._asked += 1
        return trial.number, self._suggest(trial)

    def _identity(self, number: int) -> int:
        """The storage's own number of a trial; trials of all studies in a file are counted together there."""
        return int(self._study._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number))

    def _suggest(self, trial: "Trial") -> Arm:
        """All parameters of a trial; those that it has already stay as they are."""
        values: dict[str, Value] = {}
        for name, parameter in self._space.parameters.items():
            if self._space.exists(name, values):
                values[name] = _value(trial, name, parameter)
        return self._space.arm(number=trial.number, values=values, defaults=self._defaults)

    def tell(self, *, number: int, metrics: Mapping[str, float] | None = None, failure: str | None = None) -> None:
        """Record how a trial ended. Telling the same again changes nothing: when in doubt, tell twice.

        Args:
            number: The trial's number, from `ask`.
            metrics: Name of each objective to its value; others are ignored. A value that is not finite is a failure.
            failure: Why there is no result.

        Raises:
            ValueError: Neither or both are given, an objective is missing, or the trial ended otherwise before.
        """
        from optuna.trial import TrialState

        if (metrics is None) == (failure is None):
            raise ValueError("tell either metrics or a failure")
        values: list[float] | None = None
        if metrics is not None:
            if missing := [name for name in self._space.objective if name not in metrics]:
                raise ValueError(f"trial {number} was told without {', '.join(missing)}")
            values = [float(metrics[name]) for name in self._space.objective]
            if odd := [
                name for name, value in zip(self._space.objective, values, strict=True) if not math.isfinite(value)
            ]:
                values, failure = None, f"{', '.join(odd)} is not finite"
        trial = self._study.trials[number] if 0 <= number < self._asked else None
        if trial is None:
            raise ValueError(f"trial {number} was never asked for")
        state = TrialState.COMPLETE if values is not None else TrialState.FAIL
        if trial.state.is_finished():
            if trial.state != state or (values is not None and trial.values != values):
                raise ValueError(f"trial {number} ended before, as {trial.state.name} with {trial.values}")
            return
        if failure is not None:
            self._study._storage.set_trial_user_attr(trial._trial_id, _FAILURE, failure[:2000])
        self._study.tell(number, values, state=state)
        if number in self._begun:
            self._begun.remove(number)

    @property
    def asked(self) -> int:
        """Trials handed out so far, by this process or others before it."""
        return self._asked


def _value(trial: "Trial", name: str, parameter: Parameter) -> Value:
    if parameter.value is not None:
        return parameter.value
    if parameter.choices is not None:
        chosen: Value = trial.suggest_categorical(name, parameter.choices)
        return chosen
    low, high = parameter.low, parameter.high
    assert low is not None
    assert high is not None
    if parameter.type == "int":
        return float(trial.suggest_int(name, int(low), int(high), step=int(parameter.step or 1), log=parameter.log))
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
