"""How often sentences of the first page are wrong, in simulated studies in which they should not be said.

A sentence's claims (`reports/text/claims.py`) are held against the truth of the study it was written about. The page
comes from the code that writes a real report (`simulated_reports.py`).
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.calibration_methods import Row, per_cent
from benchmarks.simulated_clipping import Clipping, simulated_steps
from benchmarks.simulated_reports import MadeUpStudy, Truth
from benchmarks.simulated_studies import Population
from reports.analysis.study_statistics import Analysis
from reports.analysis.training_effect import UNTRAINED
from reports.data.numbers import count
from reports.statistics.clip_fraction import clip_fraction_interval
from reports.text.claims import Claim

# A difference that is no larger is the rounding of two true accuracies.
_NOTHING = 1e-12
_LEVEL = 0.05
INTERVALS = ("settings' difference lies in its interval", "models' difference lies in its interval")
SETTINGS_DIFFER = "settings differ in accuracy"


@dataclass(frozen=True)
class Scenario:
    """A kind of study, with what is true of it beside its arms' accuracies.

    Attributes:
        study: What is drawn.
        clips: Arms that clip at a low gain.
        recovered: Share of the registered gap that the registered arm closes.
    """

    study: MadeUpStudy
    clips: tuple[str, ...] = ()
    recovered: float = math.nan

    def refutes(self, claim: Claim, truth: Truth) -> bool:
        """Whether a claim is false of the study that it was made of."""
        if claim.kind == "low-gain clipping":
            return claim.arm not in self.clips
        if claim.kind in ("reached", "missed"):
            return (claim.kind == "reached") != (self.recovered >= claim.value)
        true = truth.of(claim)
        if claim.kind == "difference":
            return abs(true) < _NOTHING or (claim.value > 0) != (true > 0)
        return not claim.low <= true <= claim.high


def said_and_wrong(
    *, random: np.random.Generator, studies: int, scenario: Scenario
) -> tuple[Counter[str], Counter[str]]:
    """In how many studies of a kind each kind of sentence is said, and in how many it is wrong.

    Intervals that are given whatever came out are counted one by one: each promises 95 % for itself.
    """
    said, wrong = Counter[str](), Counter[str]()
    for _ in range(studies):
        verdict, analysis, truth = scenario.study.draw(random)
        claims = [(_kind(claim), scenario.refutes(claim, truth)) for text in verdict for claim in text.claims]
        claims += _of_tables(analysis, truth, str(scenario.study.arms[0]["name"]))
        for counter, kinds in ((said, [kind for kind, _ in claims]), (wrong, [kind for kind, bad in claims if bad])):
            counter.update(kind for kind in kinds if kind in INTERVALS)
            counter.update({*kinds} - {*INTERVALS})
    return said, wrong


def sentences(*, random: np.random.Generator, repeats: int, name: str, scenario: Scenario) -> list[Row]:
    """One kind of study: a row for each kind of sentence that is said, and for what one seed cannot show."""
    said, wrong = said_and_wrong(random=random, studies=repeats, scenario=scenario)
    return [
        {
            "studies": name,
            "seeds": scenario.study.seeds,
            "the page says": kind,
            "said": "of each" if kind in INTERVALS else per_cent(np.arange(repeats) < said[kind]),
            "wrong (at most 5)": per_cent(np.arange(said[kind] if kind in INTERVALS else repeats) < wrong[kind]),
        }
        for kind in sorted({*said, SETTINGS_DIFFER})
    ]


def clip_intervals(
    *, random: np.random.Generator, repeats: int, steps: int, fraction: float, spread: float
) -> list[Row]:
    """Coverage of the share of clipped tokens, with the sequence and with the token as the unit."""
    clipping, covers, naive = Clipping(fraction=fraction, spread=spread), [], []
    for _ in range(repeats):
        fractions, tokens, errors = simulated_steps(random=random, clipping=clipping, steps=steps, sequences=64)
        alone = np.sqrt(fractions * (1 - fractions) / tokens)
        for covered, error in ((covers, errors), (naive, alone)):
            low, high = clip_fraction_interval(fractions=fractions, tokens=tokens, errors=error)
            covered.append(low <= fraction <= high)
    return [
        {
            "steps": steps,
            "clipped": f"{100 * fraction:g} %",
            "SD of sequences": spread,
            "tokens clipped (mean)": f"{fraction * steps * 64 * 52.5:.0f}",
            "interval covers": per_cent(covers),
            "over tokens covers": per_cent(naive),
        }
    ]


def _kind(claim: Claim) -> str:
    settings = claim.of == "settings"
    if claim.kind == "difference" and claim.reference == UNTRAINED:
        return "training changed accuracy" if settings else "this training changed accuracy"
    if claim.kind == "difference":
        return SETTINGS_DIFFER if settings else "trained models differ in accuracy"
    if claim.kind == "interval":
        return INTERVALS[0 if settings else 1]
    return f"the gap's share was {claim.kind}" if claim.kind in ("reached", "missed") else claim.kind


def _of_tables(analysis: Analysis, truth: Truth, reference: str) -> list[tuple[str, bool]]:
    """What tables say beside the first page: that arms are equivalent, and that seeds do not move arms alike."""
    found: list[tuple[str, bool]] = []
    if analysis.comparison is not None:
        for _, row in analysis.comparisons[analysis.comparisons["equivalent"].astype(bool)].iterrows():
            known = truth.settings if row["seeds"] > 1 else truth.models
            apart = abs(known[row["arm"]] - known[reference])
            found.append(("arms are equivalent", apart >= analysis.comparison.margin - _NOTHING))
    if analysis.pooled and analysis.seed_variance is not None and analysis.seed_variance.p_alike < _LEVEL:
        found.append(("seeds do not move arms alike", True))
    return found


def scenarios() -> dict[str, Scenario]:
    """Kinds of studies by name, most of them without any difference between settings."""
    calm, moved, far = Population(), Population(seed=0.1), Population(seed=0.2)
    still = Population(interaction=0.0, seed_problem=0.0)
    half = {f"a{arm}": moved.effect_for(difference=0.2) for arm in (1, 3, 5, 7)}
    few = {"arms": _plain(4), "population": moved}
    pair, every = _registered(("a0", "a1")), _registered(*combinations(["a0", "a1", "a2", "a3"], 2))
    three = _registered(*(("a0", f"a{arm}") for arm in (1, 2, 3)))
    found = {
        "4 arms, models alike": MadeUpStudy(arms=_plain(4), population=calm),
        "4 arms, seeds move accuracy by 2 points": MadeUpStudy(**few),
        **{f"4 arms, {count(seeds, 'seed')}": MadeUpStudy(**few, seeds=seeds) for seeds in (2, 3, 5)},
        "4 arms, 3 seeds that vary more": MadeUpStudy(arms=_plain(4), population=far, seeds=3),
        "4 arms, two benchmarks": MadeUpStudy(**few, seeds=3, problems=(100, 60)),
        "arms of the paper and others": MadeUpStudy(arms=_PAPERS, population=moved, seeds=3),
        "9 arms, 4 of them 20 points better": MadeUpStudy(arms=_plain(9), effects=half, population=moved, seeds=3),
        "registered pair": MadeUpStudy(**few, registered=pair),
    }
    for seeds, families in ((2, (("pair", pair), ("3 pairs", three))), (3, (("3 pairs", three), ("6 pairs", every)))):
        for words, seed_variance in (("", "separate"), (", pooled", "pooled")):
            for pairs, registered in families:
                block = {**registered, "seed_variance": seed_variance}
                found[f"registered {pairs}{words}, {count(seeds, 'seed')}"] = MadeUpStudy(
                    **few, seeds=seeds, registered=block
                )
    for seeds in (1, 3):
        lr = {"arms": _plain(3), "population": still, "samples": 1, "problems": (300,), "untrained": True}
        found[f"learning rate 0, {count(seeds, 'seed')}"] = MadeUpStudy(**lr, seeds=seeds)
        mixed = {"arms": _plain(9), "effects": half, "population": moved, "untrained": True}
        found[f"4 of 9 arms learn 20 points, {count(seeds, 'seed')}"] = MadeUpStudy(**mixed, seeds=seeds)
    found["equivalence, true difference at the margin"] = MadeUpStudy(
        arms=_plain(2), effects={"a1": calm.effect_for(difference=0.05)}, population=calm, problems=(300,),
        registered={"margin": 0.05},
    )  # fmt: skip
    plain = {name: Scenario(study) for name, study in found.items()}
    return plain | _recoveries() | _clipping()


def _plain(arms: int) -> tuple[Mapping[str, Any], ...]:
    """Arms without thresholds, none of them of the paper."""
    return tuple({"name": f"a{arm}", "q": 2e-6 * 3**arm, "v": 1.0} for arm in range(arms))


def _registered(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"comparisons": [{"arm": arm, "reference": reference} for reference, arm in pairs]}


# KPO-strong and KPO-weak are planned comparisons, the others exploratory.
_PAPERS = ({"name": "kpo-strong", "q": 1e-6, "v": 1.0}, {"name": "kpo-weak", "q": 1e-2, "v": 1.0}, *_plain(4))


def _recoveries() -> dict[str, Scenario]:
    """A gap of 20 points of which the threshold, half, is closed exactly, or less."""
    found = {}
    for share, words in ((0.5, "half"), (0.3, "less than half")):
        for seeds, population in ((1, Population()), (3, Population(seed=0.1))):
            effects = {"a0": population.effect_for(difference=0.2), "a1": population.effect_for(difference=0.2 * share)}
            study = MadeUpStudy(
                arms=_plain(3), effects=effects, population=population, seeds=seeds,
                registered={"recovery": {"arm": "a1", "lower": "a2", "upper": "a0"}},
            )  # fmt: skip
            found[f"{words} of a gap recovered, {count(seeds, 'seed')}"] = Scenario(study, recovered=share)
    return found


def _clipping() -> dict[str, Scenario]:
    """An arm that clips, its partner without threshold, and arms that are not its partner though they are better."""
    clipping = {"name": "clips", "q": 1e-6, "v": 1e-2, "kappa": 1.0}
    partner = {"name": "partner", "q": 1e-4, "v": 1.0}
    better = Population().effect_for(difference=0.2)
    decoys = (
        {"name": "early", "q": 1e-4, "v": 1.0, "p0": 1.0},
        {"name": "ema", "q": 1e-4, "v": 1.0, "estimator": "ema"},
        {"name": "fast", "q": 1e-4, "v": 1.0, "lr": 1e-4},
    )
    active, barely = Clipping(fraction=0.01, spread=1.0), Clipping(fraction=0.95e-3, spread=1.0)
    found = {}
    for seeds, population in ((1, Population()), (3, Population(seed=0.1))):
        common = {"population": population, "seeds": seeds, "effects": dict.fromkeys(("early", "ema", "fast"), better)}
        study = MadeUpStudy(arms=(*decoys, clipping, partner), clipping={"clips": active}, **common)
        found[f"clipping changes nothing, {count(seeds, 'seed')}"] = Scenario(study, clips=("clips",))
    high = MadeUpStudy(arms=(clipping, partner), gains={"clips": 0.3}, clipping={"clips": active})
    found["clipped at a realised gain that is high"] = Scenario(high)
    found["0.095 % clipped, where 0.1 % counts as active"] = Scenario(
        MadeUpStudy(arms=(clipping, partner), clipping={"clips": barely})
    )
    other = MadeUpStudy(arms=({**clipping, "estimator": "huber"}, partner), clipping={"clips": active})
    found["outliers limited without clipping"] = Scenario(other)
    return found
