"""What plan says a study can tell follows its seeds, arms and comparisons."""

import re

import pytest

from reports.statistics.crossed import Components
from reports.statistics.power import detectable_with, planned_precision
from sweep.commands.power_estimate import power_in_words
from sweep.profiles.profile import load_profile
from sweep.study.study import Study


def _words(seeds: int, *, arms: int = 4, **registered: object) -> str:
    names = [f"a{i}" for i in range(arms)]
    space = {"kind": "arms", "arms": [{"name": name, "q": 10.0 ** -(i + 2), "v": 1.0} for i, name in enumerate(names)]}
    study = {"name": "s", "space": space, "steps": 2, "seeds": seeds}
    block = {"registered": registered} if registered else {}
    return power_in_words(Study.model_validate({**study, **block}), load_profile("tiny"))


def _numbers(text: str) -> list[float]:
    found = re.search(r"±(\S+) points, and differences of (\S+) points .*±(\S+) and ([\d.]+)", text)
    assert found is not None
    return [float(number) for number in found.groups()]


def test_pooling_and_more_seeds_find_smaller_differences() -> None:
    half, found, pooled_half, pooled_found = _numbers(_words(3))
    assert half < found
    assert pooled_half < half
    assert pooled_found < found
    assert _numbers(_words(5))[1] < found
    # Registered, the pooled result stands first.
    assert _numbers(_words(3, seed_variance="pooled")) == [pooled_half, pooled_found, half, found]


def test_one_and_two_seeds_say_what_they_cannot() -> None:
    assert "never that their settings do" in _words(1)
    assert "Two seeds cannot show a difference by themselves: " in _words(2)
    assert "Two seeds" not in _words(2, seed_variance="pooled")
    assert _words(2, arms=1) == ""


def test_correction_is_over_what_was_registered() -> None:
    pair = [{"arm": "a0", "reference": "a1"}]
    assert "1 registered comparison," in _words(3, comparisons=pair)
    assert _numbers(_words(3, comparisons=pair))[1] < _numbers(_words(3))[1]


@pytest.mark.parametrize("seeds", [1, 3, 5, 20])
def test_without_correction_it_is_the_detectable_difference(seeds: int) -> None:
    parts = Components(seed=8e-4, problem=4e-3, residual=0.07)
    found = planned_precision(components=parts, seeds=seeds, problems=500, comparisons=1, few=seeds - 1.0)
    exact = detectable_with(components=parts, seeds=seeds, problems=500)
    assert found.detectable == pytest.approx(exact, rel=1e-6)
