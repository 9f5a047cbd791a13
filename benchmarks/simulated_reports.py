"""Made-up studies as the report reads real ones, without MLflow: the plan is a real study's, measurements are drawn.

What is done with them is what `iskpo-sweep report` does, from the counts of right samples to the sentences of the
verdict, which can then be held against a truth that is known (`calibration_sentences.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.simulated_clipping import Clipping, simulated_steps
from benchmarks.simulated_studies import Floats, Population, as_verdicts, draw_counts
from reports.analysis.arms import arm_table, reference_arm
from reports.analysis.study_statistics import Analysis, analyse
from reports.analysis.tension import GRID_COLUMNS, bounds_of
from reports.analysis.training_effect import UNTRAINED
from reports.data.load import HISTOGRAM_COLUMNS, MOMENTS_COLUMNS, StudyRecord, trial_table
from reports.text.claims import Claim, Sentence
from reports.text.first_page import verdict_sentences
from reports.text.tension_text import clipping_sentences
from sweep.profiles.profile import load_profile
from sweep.store.plan_file import plan_as_json
from sweep.study.plan import plan_trials
from sweep.study.study import Study

_STEPS, _SEQUENCES = 4, 64
_NO_GRID = pd.DataFrame(columns=list(GRID_COLUMNS))


@dataclass(frozen=True)
class Truth:
    """True accuracies of one study's arms: of their settings, over all seeds, and of the models that were trained."""

    settings: Mapping[str, float]
    models: Mapping[str, float]

    def of(self, claim: Claim) -> float:
        """The true difference that a claim speaks of."""
        known = self.settings if claim.of == "settings" else self.models
        return known[claim.arm] - known[claim.reference]


@dataclass(frozen=True)
class MadeUpStudy:
    """A study that can be drawn again and again.

    Attributes:
        arms: Each arm's keys in the study file, its name first.
        effects: Effect on the logit of the arms that have one.
        population: Where problems and seeds come from.
        seeds: Training seeds.
        problems: Problems of each benchmark.
        samples: k.
        registered: The study file's block.
        untrained: Whether the untrained model was judged, whose effect is 0.
        gains: Realised gains of the arms in which they are not the steady state's.
        clipping: How the arms that clip do it.
    """

    arms: tuple[Mapping[str, Any], ...]
    effects: Mapping[str, float] = field(default_factory=dict)
    population: Population = field(default_factory=Population)
    seeds: int = 1
    problems: tuple[int, ...] = (100,)
    samples: int = 4
    registered: Mapping[str, Any] | None = None
    untrained: bool = False
    gains: Mapping[str, float] = field(default_factory=dict)
    clipping: Mapping[str, Clipping] = field(default_factory=dict)

    @cached_property
    def _plan(self) -> tuple[Study, pd.DataFrame, pd.DataFrame]:
        """The study, its trials, all finished, and their steps."""
        study = Study.model_validate(
            {"name": "made_up", "space": {"kind": "arms", "arms": [dict(arm) for arm in self.arms]},
             "seeds": self.seeds, "steps": _STEPS, "registered": self.registered}
        )  # fmt: skip
        plan = plan_trials(study)
        planned = plan_as_json(study=study, plan=plan, profile=load_profile("tiny"), requested_profile="tiny")
        entries = {entry["key"]: entry for entry in planned["trials"]}
        # A study of which no trial has a run yet.
        rows = [
            {"trial": key, "arm": entry["arm"], "seed": entry["seed"], "state": "finished"}
            for key, entry in entries.items()
        ]
        trials = trial_table(SimpleNamespace(rows=lambda: rows, runs={}, plan=entries))
        steps = [
            {"trial": trial.key, "arm": trial.arm.name, "seed": trial.seed, "step": step,
             "kalman/gain_mean": self.gains.get(trial.arm.name, trial.arm.predicted_gain), "innovation/max_abs": 0.1,
             "kalman/tokens": 3000.0, "kalman/clip_fraction": 0.0, "kalman/clip_fraction_error": np.nan}
            for trial in plan
            for step in range(1, _STEPS + 1)
        ]  # fmt: skip
        return study, trials, pd.DataFrame(steps)

    def draw(self, random: np.random.Generator) -> tuple[list[Sentence], Analysis, Truth]:
        """The verdict of one such study, the analysis behind it, and what is true of its arms."""
        names = [arm["name"] for arm in self.arms] + ([UNTRAINED] if self.untrained else [])
        effects = np.array([self.effects.get(name, 0.0) for name in names])
        moved = effects[:, None] + self.population.seed * random.standard_normal((len(names), self.seeds))
        if self.untrained:
            moved[-1] = effects[-1]
        fixed = replace(self.population, seed=0.0)
        frames = []
        for number, problems in enumerate(self.problems):
            counts = draw_counts(random=random, population=fixed, effects=moved, seeds=self.seeds, problems=problems,
                                 samples=self.samples)  # fmt: skip
            frames.append(as_verdicts(counts=counts, samples=self.samples, benchmark=f"benchmark {number}"))
        counted = pd.concat(frames, ignore_index=True)
        counted["arm"] = counted["arm"].map({f"arm {place}": name for place, name in enumerate(names)})
        verdicts = counted[counted["arm"] != UNTRAINED]
        study, trials, steps = self._plan
        record = StudyRecord(
            run_id="",
            name=study.name,
            question="",
            state="finished",
            params={},
            tags={},
            started=pd.Timestamp(0),
            trials=trials,
            steps=self._clipped(random, steps),
            samples=pd.DataFrame(),
            untrained=_samples(counted[counted["arm"] == UNTRAINED]),
            histograms=pd.DataFrame(columns=HISTOGRAM_COLUMNS),
            moments=pd.DataFrame(columns=MOMENTS_COLUMNS),
            registered=study.registered,
        )
        arms = arm_table(study=record, verdicts=verdicts)
        reference = reference_arm(arms=arms)
        margin = {"margin": study.registered.margin} if study.registered and study.registered.margin else {}
        analysis = analyse(study=record, arms=arms, reference=reference, verdicts=verdicts, checks=False, **margin)
        bounds = bounds_of(registered=study.registered)
        clipping = clipping_sentences(arms=arms, verdicts=verdicts, bounds=bounds, grid=_NO_GRID)
        verdict = verdict_sentences(
            study=record, arms=arms, analysis=analysis, reference=reference, clipping=clipping[:1]
        )
        return verdict, analysis, self._truth(names, effects, moved)

    def _clipped(self, random: np.random.Generator, steps: pd.DataFrame) -> pd.DataFrame:
        """The steps with what was clipped in them."""
        steps = steps.copy()
        for name, clipping in self.clipping.items():
            own = steps["arm"] == name
            drawn = simulated_steps(random=random, clipping=clipping, steps=int(own.sum()), sequences=_SEQUENCES)
            for metric, values in zip(("clip_fraction", "tokens", "clip_fraction_error"), drawn, strict=True):
                steps.loc[own, f"kalman/{metric}"] = values
        return steps

    def _truth(self, names: list[str], effects: Floats, moved: Floats) -> Truth:
        still = replace(self.population, seed=0.0)
        settings = [self.population.accuracy(effect=effect) for effect in effects.tolist()]
        models = [np.mean([still.accuracy(effect=effect) for effect in row]) for row in moved.tolist()]
        return Truth(dict(zip(names, settings, strict=True)), dict(zip(names, models, strict=True)))


def _samples(counts: pd.DataFrame) -> pd.DataFrame:
    """One row a sample, as an evaluation keeps them."""
    rows = counts.loc[counts.index.repeat(counts["samples"])]
    number = rows.groupby(level=0).cumcount()
    return rows.assign(
        sample=number, correct=number < rows["correct"], trial=rows["seed"].astype(str), step=0
    ).reset_index(drop=True)
