"""What plan says a study can tell follows its seeds, arms and comparisons."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reports.statistics.crossed import Components
from reports.statistics.power import detectable_with, planned_precision
from sweep.commands.cli import app
from sweep.commands.power_estimate import PowerEstimate, estimate_power
from sweep.profiles.profile import load_profile
from sweep.study.study import Study


def _estimate(seeds: int, *, arms: int = 4, **registered: object) -> PowerEstimate | None:
    names = [f"a{i}" for i in range(arms)]
    space = {"kind": "arms", "arms": [{"name": name, "q": 10.0 ** -(i + 2), "v": 1.0} for i, name in enumerate(names)]}
    study = {"name": "s", "space": space, "steps": 2, "seeds": seeds}
    block = {"registered": registered} if registered else {}
    return estimate_power(study=Study.model_validate({**study, **block}), profile=load_profile("tiny"))


def _words(seeds: int, *, arms: int = 4, **registered: object) -> str:
    return str(_estimate(seeds, arms=arms, **registered))


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
    assert _estimate(2, arms=1) is None


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


def test_json_has_the_numbers_that_are_printed(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "{name: s, profile: tiny, steps: 2, seeds: 3, space: {kind: arms, arms: [kpo-strong, kpo-weak, is-kpo-weak]},"
        " registered: {comparisons: [{arm: kpo-strong, reference: kpo-weak}], seed_variance: pooled}}"
    )
    printed = CliRunner().invoke(app, ["plan", str(file)])
    assert printed.exit_code == 0, printed.output
    (line,) = (line for line in printed.output.splitlines() if line.startswith("Power, "))
    found = CliRunner().invoke(app, ["plan", str(file), "--json"])
    power = json.loads(found.output)["power"]
    named = [power[variance][name] for variance in ("pooled", "separate") for name in ("half_width", "detectable")]
    assert [100 * share for share in named] == pytest.approx(_numbers(line), rel=0.05)
    assert (power["comparisons"], power["registered"], power["seed_variance"]) == (1, True, "pooled")
    assert (power["arms"], power["seeds"], power["assumed_seed_sd"]) == (3, 3, 0.02)
    assert f"with {power['problems']} problems, 1 registered comparison," in line


def test_json_says_where_there_is_nothing_to_tell(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("{name: s, profile: tiny, steps: 2, seeds: 1, space: {kind: arms, arms: [kpo-strong]}}")
    found = CliRunner().invoke(app, ["plan", str(file), "--json"])
    assert json.loads(found.output)["power"] is None
    one = _estimate(1)
    assert one is not None
    assert one.pooled is None
    # So many seeds are enough, and one fewer is not.
    two = _estimate(2)
    assert two is not None
    assert two.seeds_wanted is not None
    found_with = {seeds: _estimate(seeds).separate.detectable for seeds in (two.seeds_wanted - 1, two.seeds_wanted)}
    assert found_with[two.seeds_wanted] <= two.wanted < found_with[two.seeds_wanted - 1]
