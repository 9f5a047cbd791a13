"""The study file: what a researcher writes, checked before anything starts."""

import operator
from pathlib import Path

from pydantic import (
    model_validator,
)

from sweep.arms.objectives import SMOOTHNESS
from sweep.input.located import located_errors
from sweep.search_spaces import AdaptiveSpace, OptunaSpace
from sweep.study.early_stopping import Metric
from sweep.study.study_checks import (
    arms_and_places,
    early_stopping_problems,
    made_by_space,
    metric_compared_early,
    not_of_a_replay,
    problems_of_arms,
    repeated_arms,
)
from sweep.study.study_fields import MAXIMUM_TRIALS, StudyFields
from sweep.study.trial_kind import arm_problem


class Study(StudyFields):
    """A study: which arms, with which seeds, for how long."""

    @model_validator(mode="after")
    def _check_arms(self) -> "Study":
        size = made_by_space(self, lambda: operator.index(self.space.size()))
        if (trials := size * len(self.seeds)) > MAXIMUM_TRIALS:
            message = f"{size:,} arms with {len(self.seeds):,} seeds are {trials:,} trials"
            raise located_errors(self, [(("space",), f"{message}; the most is {MAXIMUM_TRIALS:,}")])
        if found := made_by_space(self, lambda: self.space.problems(defaults=self.defaults)):
            raise located_errors(self, [(("space", *where), message) for where, message in found])
        if isinstance(self.space, AdaptiveSpace):
            arms = self.space.corners(defaults=self.defaults)
            found = problems_of_arms(arms, lambda index: ("space", "parameters"), self.overrides)[:3]
        else:
            arms, places = made_by_space(self, lambda: arms_and_places(self))
            found = problems_of_arms(arms, places.__getitem__, self.overrides) + repeated_arms(arms, places)
            if self.trial.is_replay:
                found += [
                    (where, f"arm {arm.name}: {why}")
                    for where, arm in zip(places, arms, strict=True)
                    if (why := arm_problem(arm))
                ]
        if self.registered is not None:
            listed = None if isinstance(self.space, AdaptiveSpace) else [arm.name for arm in arms]
            found += [(("registered", *where), message) for where, message in self.registered.problems(arms=listed)]
        if found:
            raise located_errors(self, found)
        return self

    @model_validator(mode="after")
    def _check_kind_of_trial(self) -> "Study":
        found = [(("trial", *where), message) for where, message in self.trial.problems()]
        found += [(("budget", *where), message) for where, message in (self.budget.problems() if self.budget else [])]
        objectives = self.space.objective if isinstance(self.space, OptunaSpace) else ()
        if self.trial.is_replay:
            found += not_of_a_replay(self, objectives)
        else:
            found += [
                (("space", "objective"), f"{name} is measured by a replay alone: add trial: {{kind: replay, ...}}")
                for name in objectives
                if name in SMOOTHNESS
            ]
        if self.early_stopping is not None:
            found += early_stopping_problems(self, self.early_stopping, objectives)
        if found:
            raise located_errors(self, found)
        return self

    @property
    def compared_early(self) -> Metric:
        """The metric that early stopping compares."""
        assert self.early_stopping is not None
        return metric_compared_early(self.early_stopping, self.space)


def load_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        UserError: Anything wrong with it, all at once, each with file, line, key and the nearest valid key or value.
    """
    from sweep.input.schema_errors import validate
    from sweep.input.yaml_source import load_yaml

    return validate(Study, load_yaml(path))
