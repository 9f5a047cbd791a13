"""A known surface is found with its uncertainty; too few arms are said to be too few."""

import numpy as np
import pandas as pd
import pytest
from scipy import special

from reports.statistics.logistic import CannotFitError
from reports.statistics.surface import Surface, response_surface


def _truth(gain: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    x, y = np.log(gain), np.log(threshold)
    return 0.3 - 0.1 * (x + 3) ** 2 + 0.05 * y + 0.04 * x * y


def _table(*, arms: int, spread: float = 0.0, problems: int = 30, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    gain, threshold = np.exp(random.uniform(-6, -1, size=arms)), np.exp(random.uniform(-3, 1, size=arms))
    logits = _truth(gain, threshold) + spread * random.normal(size=arms)
    rows = pd.MultiIndex.from_product([range(arms), range(problems)], names=["arm", "problem_id"]).to_frame(index=False)
    difficulty = random.normal(size=problems)[rows["problem_id"]]
    correct = random.binomial(16, special.expit(logits[rows["arm"]] + 0.2 * difficulty))
    of_arms = {"gain": gain[rows["arm"]], "threshold": threshold[rows["arm"]]}
    return rows.assign(**of_arms, benchmark="made up", correct=correct, samples=16)


def test_a_quadratic_is_found() -> None:
    surface = response_surface(table=_table(arms=40))
    assert (surface.kind, surface.reason, surface.arms) == ("quadratic", "", 40)
    grid = np.meshgrid(np.exp(np.linspace(-4.5, -2.5, 5)), np.exp(np.linspace(-1.8, -0.2, 5)))
    found = surface.predict(gain=grid[0], threshold=grid[1])
    truth = special.expit(_truth(grid[0], grid[1])).ravel()
    assert found["value"].to_numpy() == pytest.approx(truth, abs=0.03)
    assert ((found["low"] <= truth) & (truth <= found["high"])).mean() >= 0.9
    assert not found["extrapolated"].any()
    assert surface.predict(gain=0.9, threshold=100.0)["extrapolated"].all()


def test_the_arm_is_the_unit() -> None:
    def width(surface: Surface) -> float:
        found = surface.predict(gain=0.05, threshold=0.3)
        return float((found["high"] - found["low"]).iloc[0])

    noisy = response_surface(table=_table(arms=20, spread=0.5, problems=30))
    more_verdicts = response_surface(table=_table(arms=20, spread=0.5, problems=300))
    assert width(more_verdicts) > 0.6 * width(noisy)
    assert width(response_surface(table=_table(arms=20, spread=0.0, problems=300))) < 0.4 * width(noisy)


def test_a_clip_fraction_needs_no_problems() -> None:
    table = _table(arms=15).groupby(["arm", "gain", "threshold"], as_index=False)[["correct", "samples"]].sum()
    assert response_surface(table=table).kind == "quadratic"


@pytest.mark.parametrize(("arms", "kind", "reason"), [(7, "plane", "quadratic needs 9"), (4, "none", "too few")])
def test_few_arms(arms: int, kind: str, reason: str) -> None:
    surface = response_surface(table=_table(arms=arms))
    assert surface.kind == kind
    assert reason in surface.reason
    if kind == "none":
        with pytest.raises(CannotFitError, match="too few"):
            surface.predict(gain=0.1, threshold=0.1)


def test_arms_without_a_surface() -> None:
    table = _table(arms=12)
    table.loc[table["arm"] < 2, "threshold"] = np.inf
    assert "left out 2" in response_surface(table=table).reason
    assert "same in every arm" in response_surface(table=_table(arms=12).assign(gain=0.1)).reason
    on_a_line = _table(arms=12).assign(threshold=lambda one: 2 * one["gain"])
    assert response_surface(table=on_a_line).kind == "none"
    assert response_surface(table=_table(arms=12).assign(correct=0)).kind == "none"
