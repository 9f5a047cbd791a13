"""Innovations by update and class, pooled over steps and seeds, against the innovations themselves."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from iskpo.innovation_moments import CLASS_BOUNDS, CLASSES, FIELDS
from reports.analysis.innovation_updates import ALL, MIXTURE_COLUMNS, UPDATE_COLUMNS, mixture_table, update_table

UPDATES = 4


def _innovations(seed: int) -> pd.DataFrame:
    """Innovations of two arms with two seeds; update u has scale u and class c has scale c + 1."""
    random = np.random.default_rng(seed)
    frames = []
    for arm in ("a", "b"):
        for trial_seed in range(2):
            for step in (1, 2):
                for update in range(UPDATES):
                    place = random.integers(0, CLASSES, 50)
                    values = update * (place + 1) * random.standard_normal(50) + 0.1 * update
                    frames.append(
                        pd.DataFrame({"place": place, "x": values}).assign(
                            trial=f"{arm}_s{trial_seed}", arm=arm, seed=trial_seed, step=step, update=update
                        )
                    )
    return pd.concat(frames, ignore_index=True)


def _moments(innovations: pd.DataFrame) -> pd.DataFrame:
    """As a run records them."""
    rows = []
    for (arm, trial, seed, step, update, place), group in innovations.groupby(
        ["arm", "trial", "seed", "step", "update", "place"]
    ):
        x = group["x"].to_numpy()
        deviation = x - x.mean()
        nis = (x**2).sum() / 4  # sigma = 2
        sums = [(deviation**k).sum() for k in (2, 3, 4)]
        fields = [len(x), (np.abs(x) > 1).sum(), nis, np.abs(x).max(), x.mean(), *sums]
        bounds = {"pi_old_from": CLASS_BOUNDS[place], "pi_old_to": CLASS_BOUNDS[place + 1]}
        names = {"trial": trial, "arm": arm, "seed": seed, "step": step, "update": update}
        rows.append({**names, **bounds, **dict(zip(FIELDS, fields, strict=True))})
    return pd.DataFrame(rows)


def _kurtosis(x: "pd.Series[float]") -> float:
    deviation = x - x.mean()
    return float((deviation**4).mean() / (deviation**2).mean() ** 2)


def _within(innovations: pd.DataFrame, by: list[str]) -> float:
    """Fourth powers of deviations from the groups' own means, over a third of what Gaussians of their sizes expect."""
    groups = innovations.groupby(by)["x"]
    deviation = innovations["x"] - groups.transform("mean")
    variance = (deviation**2).groupby([innovations[name] for name in by]).transform("mean")
    tokens = groups.transform("size")
    return float((deviation**4).sum() / ((tokens - 1) / (tokens + 1) * variance**2).sum())


@pytest.mark.parametrize("seed", range(3))
def test_every_update_and_class_is_that_of_its_innovations(seed: int) -> None:
    innovations = _innovations(seed)
    table = update_table(moments=_moments(innovations))
    assert tuple(table.columns) == UPDATE_COLUMNS
    assert len(table) == 2 * UPDATES * (1 + CLASSES)
    for _, row in table.iterrows():
        own = innovations[(innovations["arm"] == row["arm"]) & (innovations["update"] == row["update"])]
        if row["pi_old"] != ALL:
            names = [f"{low:g}–{high:g}" for low, high in pairwise(CLASS_BOUNDS)]
            own = own[own["place"] == names.index(row["pi_old"])]
        assert row["tokens"] == len(own)
        assert row["clipped"] == (own["x"].abs() > 1).sum()
        assert row["max_abs"] == own["x"].abs().max()
        assert row["nis"] == pytest.approx((own["x"] ** 2).mean() / 4, rel=1e-9)
        assert row["std"] == pytest.approx(own["x"].std(ddof=0), rel=1e-9)
        if row["update"]:
            assert row["kurtosis"] == pytest.approx(_kurtosis(own["x"]), rel=1e-9)
            assert row["kurtosis_within"] == pytest.approx(_within(own, ["trial", "step"]), rel=1e-9)
        else:
            assert np.isnan(row["kurtosis"])


@pytest.mark.parametrize("seed", range(3))
def test_the_kurtosis_is_taken_apart_by_update_and_class(seed: int) -> None:
    innovations = _innovations(seed)
    table = mixture_table(moments=_moments(innovations)).set_index("arm")
    assert ("arm", *table.columns) == MIXTURE_COLUMNS
    for arm, row in table.iterrows():
        own = innovations[innovations["arm"] == arm]
        assert (row["updates"], row["tokens"]) == (UPDATES, len(own))
        assert row["kurtosis"] == pytest.approx(_kurtosis(own["x"]), rel=1e-9)
        assert row["kurtosis_within"] == pytest.approx(_within(own, ["trial", "step", "update"]), rel=1e-9)
        classes = _within(own, ["trial", "step", "update", "place"])
        assert row["kurtosis_within_classes"] == pytest.approx(classes, rel=1e-9)
        last = own[own["update"] == UPDATES - 1]
        assert row["std_first"] == 0
        assert row["std_last"] == pytest.approx(last["x"].std(ddof=0), rel=1e-9)
        assert row["std_unlikely"] == pytest.approx(last.loc[last["place"] == 0, "x"].std(ddof=0), rel=1e-9)
        assert row["std_certain"] == pytest.approx(last.loc[last["place"] == CLASSES - 1, "x"].std(ddof=0), rel=1e-9)
        # Scales 0:1:2:3 and 1:2:3:4 mixed: the pooled kurtosis is high, the innovations of a group are Gaussian.
        assert row["kurtosis"] > 5
        assert row["kurtosis_within_classes"] < row["kurtosis_within"] < row["kurtosis"]


def test_studies_that_recorded_no_moments_have_empty_tables() -> None:
    nothing = _moments(_innovations(0)).head(0)
    assert update_table(moments=nothing).empty
    assert mixture_table(moments=nothing).empty
