"""Sentences of the first page are wrong in at most one study of twenty in which they should not be said.

The claims of each sentence are held against the truth of the simulated study it was written about; the table of 1,000
studies a kind is in `benchmarks/calibration.md`. Seeds are fixed, so these cannot fail by chance.
"""

from collections import Counter

import numpy as np
import pytest

from benchmarks.calibration_sentences import SETTINGS_DIFFER, said_and_wrong, scenarios
from benchmarks.simulated_reports import MadeUpStudy
from benchmarks.simulated_studies import Population
from reports.text.registered_text import pooling_note

_SCENARIOS = scenarios()
_FAST = (
    "4 arms, seeds move accuracy by 2 points",
    "registered 3 pairs, pooled, 3 seeds",
    "learning rate 0, 3 seeds",
    "clipping changes nothing, 1 seed",
    "clipped at a realised gain that is high",
    "0.095 % clipped, where 0.1 % counts as active",
)


def _counts(name: str, studies: int) -> tuple[Counter[str], Counter[str]]:
    random = np.random.default_rng([5, list(_SCENARIOS).index(name)])
    return said_and_wrong(random=random, studies=studies, scenario=_SCENARIOS[name])


@pytest.mark.parametrize("name", _FAST)
def test_a_sentence_is_seldom_wrong(name: str) -> None:
    said, wrong = _counts(name, 8)
    # At 5 %, three wrong of eight come once in 170 times.
    assert all(wrong[kind] <= max(2, 0.25 * said[kind]) for kind in wrong)


def test_with_one_seed_nothing_is_said_of_settings() -> None:
    said, _ = _counts("4 arms, seeds move accuracy by 2 points", 12)
    assert SETTINGS_DIFFER not in said
    assert said["trained models differ in accuracy"] > 0


def test_what_is_true_is_said() -> None:
    said, _ = _counts("9 arms, 4 of them 20 points better", 4)
    assert said[SETTINGS_DIFFER] >= 3


def test_a_variance_pooled_over_few_arms_and_seeds_says_what_its_tests_are_worth() -> None:
    registered = {"comparisons": [{"arm": "a", "reference": "b"}], "seed_variance": "pooled"}
    for few, names in ((True, "abc"), (False, "abcd")):
        arms = tuple({"name": name, "q": 10.0 ** -(place + 2), "v": 0.5} for place, name in enumerate(names))
        study = MadeUpStudy(arms=arms, seeds=2, registered=registered, population=Population(seed=0.1))
        _, analysis, _ = study.draw(np.random.default_rng(0))
        note = pooling_note(analysis=analysis)
        assert f"{len(names) - 1} degrees of freedom" in note
        assert ("some 7 % of studies without a difference" in note) == few


@pytest.mark.slow
@pytest.mark.parametrize("name", _SCENARIOS)
def test_of_a_thousand_studies(name: str) -> None:
    said, wrong = _counts(name, 1000)
    # 5 % and 2.5 Monte-Carlo standard errors.
    assert all(wrong[kind] <= 0.067 * max(1000, said[kind]) for kind in wrong)
