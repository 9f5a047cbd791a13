"""What a reader has to be able to see."""

import math
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Annotation

from reports.analysis.arms import arm_table
from reports.data.load import load_record
from reports.figures import accuracy_intervals, accuracy_map, tension_map, training_curve
from reports.figures.performance_profiles import performance_profiles
from reports.figures.style import CLIP_COLOURS, CLIP_LEVELS, looks, use_style
from sweep.arms.arm import Arm
from sweep.arms.paper import paper_arm


@pytest.fixture
def axes() -> Iterator[Axes]:
    use_style()
    figure, axes = plt.subplots(figsize=(6.7, 3.6), layout="constrained")
    yield axes
    plt.close(figure)


@pytest.fixture
def grid() -> pd.DataFrame:
    """The twelve arms of studies/qv_kappa.yaml, with clip fractions from 0 to 9 %."""
    arms = [
        Arm(name=f"arm{q}{v}{kappa}", q=q, v=v, kappa=kappa)
        for q in (1e-6, 1e-2)
        for v in (1.0, 1e-2)
        for kappa in (math.inf, 3.0, 1.0)
    ]
    fractions = np.array([0, 0, 7e-5, 0, 4e-3, 9e-2] * 2)
    gain = np.array([arm.predicted_gain for arm in arms])
    return pd.DataFrame(
        {
            "number": range(1, 13),
            "arm": [arm.name for arm in arms],
            "title": [known.title if (known := paper_arm(arm)) else "" for arm in arms],
            "numerics": [arm.numerics for arm in arms],
            "kappa": [arm.kappa for arm in arms],
            "gain": gain,
            "threshold": [arm.predicted_threshold for arm in arms],
            "realised_gain": gain / 3,
            "realised_gain_low": gain / 4,
            "realised_gain_high": gain / 2,
            "clip_fraction": fractions,
            "clip_fraction_low": fractions / 2,
            "clip_fraction_high": fractions * 2,
            "same_as": "",
            "outside_share": gain,
            "outside_share_low": gain / 2,
            "outside_share_high": gain * 2,
            "max_innovation": np.linspace(0.9, 1.6, 12),
            "accuracy": np.nan,
            "low": np.nan,
            "high": np.nan,
        }
    )


def _labels(axes: Axes) -> list[Annotation]:
    # An arrow is an annotation without a text.
    return [text for text in axes.texts if isinstance(text, Annotation) and text.get_text()]


@pytest.mark.parametrize("draw", [accuracy_map, tension_map])
def test_labels_mark_arms_of_the_published_numerics(draw, axes: Axes, grid: pd.DataFrame) -> None:
    grid.loc[1, "numerics"] = "public-cumsum-fp32"
    draw(arms=grid, axes=axes)
    lines = [line for label in _labels(axes) for line in label.get_text().splitlines()]
    assert [line for line in lines if "public" in line] == ["2 public float32"]


@pytest.mark.parametrize("draw", [accuracy_map, tension_map])
def test_labels_name_every_arm_and_do_not_overlap(draw, axes: Axes, grid: pd.DataFrame) -> None:
    assert draw(arms=grid, axes=axes) is axes
    axes.figure.canvas.draw()
    labels = _labels(axes)
    # The map names lines, contours and the paper's own configurations too.
    arms = [label.get_text() for label in labels if not any(part in label.get_text() for part in ("=", "%", "Opt"))]
    words = " ".join(arms).replace(",", " ").split()
    assert {int(word) for word in words if word.isdigit()} == set(range(1, 13))
    for name in ("1 KPO-strong", "7 KPO-weak", "8 IS-KPO-weak") if draw is tension_map else ():
        assert any(name in label.get_text() for label in labels)
    boxes = [label.get_window_extent() for label in labels]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert axes.figure.bbox.contains(box.x0, box.y0)
        assert axes.figure.bbox.contains(box.x1, box.y1)


def test_arms_with_nothing_outside_are_seen_and_bars_show_steps(axes: Axes, grid: pd.DataFrame) -> None:
    shares = np.array([0.0, 7e-5, 9e-2] * 4)
    arms = grid.assign(outside_share=shares, outside_share_low=shares / 2, outside_share_high=shares * 2)
    arms = arms.assign(accuracy=np.linspace(0.3, 0.6, 12))
    accuracy_map(arms=arms, axes=axes)
    low, high = axes.get_ylim()
    assert low < 0 < high
    zero, smallest, largest = axes.transData.transform([(0.01, 0.0), (0.01, 7e-5), (0.01, 9e-2)])[:, 1]
    frame = axes.get_window_extent()
    assert frame.y0 + 10 < zero < smallest - 20 < smallest < largest < frame.y1
    assert axes.containers[2].has_xerr
    assert axes.containers[2].has_yerr
    # Darker is more accurate, in grey too.
    points = [one for one in axes.collections if isinstance(one, PathCollection)]
    axes.figure.draw_without_rendering()
    grey = [float(one.get_facecolors()[0][:3] @ [0.299, 0.587, 0.114]) for one in points]
    assert grey == sorted(grey, reverse=True)
    assert len({round(value, 3) for value in grey}) == 12


def test_colours_of_clip_fractions_are_told_apart_in_grey() -> None:
    grey = [float(np.asarray(to_rgb(colour)) @ [0.299, 0.587, 0.114]) for colour in CLIP_COLOURS]
    assert len(grey) == len(CLIP_LEVELS) + 1
    assert max(np.diff(grey)) < -0.03


def test_an_arm_looks_the_same_in_every_figure(grid: pd.DataFrame) -> None:
    every, some = looks(arms=grid), looks(arms=grid.iloc[[3, 7, 11]])
    assert some == {name: every[name] for name in some}


def test_without_any_outside_share_the_map_says_so(axes: Axes, grid: pd.DataFrame) -> None:
    accuracy_map(arms=grid.assign(outside_share=np.nan), axes=axes)
    assert "no gain or outside share" in axes.texts[0].get_text()


def test_arms_without_threshold_stand_above_every_threshold(axes: Axes, grid: pd.DataFrame) -> None:
    tension_map(arms=grid, axes=axes)
    (points,) = [one for one in axes.collections if isinstance(one, PathCollection)]
    heights = sorted(points.get_offsets()[:, 1].tolist())
    assert heights[-4] == heights[-1] > 3.2
    assert "κ = ∞" in [text.get_text() for text in axes.get_yticklabels()]


def test_unmeasured_arms_do_not_pass_for_silent_ones(axes: Axes, grid: pd.DataFrame) -> None:
    tension_map(arms=grid.assign(clip_fraction=[np.nan, *grid["clip_fraction"][1:]]), axes=axes)
    assert "not measured" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_arms_differ_by_more_than_colour(grid: pd.DataFrame) -> None:
    drawn = looks(arms=grid)
    assert len({look.marker for look in drawn.values()}) == 12
    assert {look.line for look in drawn.values()} == {"-", "--", ":"}


def test_curves_have_bars_over_seeds_and_say_when_nothing_was_recorded(two_seeds: Path, axes: Axes) -> None:
    study = load_record(output=two_seeds)
    arms = arm_table(study=study)
    training_curve(steps=study.steps, arms=arms, metric="reward/mean", label="reward", scale="linear", axes=axes)
    assert len(axes.containers) == 3
    assert axes.containers[0].has_yerr
    rows = study.steps[study.steps["arm"] == "kpo-strong"].groupby("step")["reward/mean"].mean()
    assert axes.containers[0].lines[0].get_ydata() == pytest.approx(rows.to_numpy())
    training_curve(steps=study.steps, arms=arms, metric="absent", label="absent", scale="log", axes=axes)
    assert axes.texts[-1].get_text() == "not recorded"


def test_accuracies_are_drawn_with_their_intervals(one_seed: Path, axes: Axes) -> None:
    arms = arm_table(study=load_record(output=one_seed))
    accuracy_intervals(arms=arms, reference="kpo-strong", axes=axes)
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "KPO-weak  3",
        "low-gain-clipping  2",
        "KPO-strong  1",
    ]
    strong = axes.containers[-1]
    ends = strong.lines[2][0].get_segments()[0][:, 0]
    assert ends == pytest.approx(100 * arms.loc[0, ["low", "high"]].to_numpy(dtype=float))


def test_many_arms_are_drawn_without_bars_and_few_get_a_number(axes: Axes, grid: pd.DataFrame) -> None:
    many = pd.concat([grid] * 6, ignore_index=True)
    many = many.assign(
        number=range(1, 73), arm=[f"a{i}" for i in range(72)], gain=np.geomspace(1e-3, 0.5, 72), title="", accuracy=0.5
    )
    tension_map(arms=many, axes=axes, named=["a3", "a40", "a70"])
    texts = [label.get_text() for label in _labels(axes)]
    assert {"4: 50.0", "41: 50.0", "71: 50.0"} <= set(texts)
    assert sum(": 50.0" in text for text in texts) == 3
    assert axes.get_legend() is None


def test_where_many_arms_stand_together_the_label_is_short(axes: Axes, grid: pd.DataFrame) -> None:
    same = grid.assign(gain=0.01, threshold=0.3, title="", accuracy=0.5)
    tension_map(arms=same, axes=axes)
    texts = [label.get_text() for label in _labels(axes)]
    assert "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12" in texts
    tension_map(arms=same.head(3), axes=axes)
    assert "1: 50.0, 2: 50.0, 3: 50.0" in [label.get_text() for label in _labels(axes)]


def test_the_map_says_accuracies_clip_fractions_and_the_papers_path(axes: Axes, grid: pd.DataFrame) -> None:
    same = ["" if number != 3 else grid["arm"][0] for number in grid["number"]]
    measured = grid.assign(accuracy=np.linspace(0.3, 0.6, 12), low=np.linspace(0.25, 0.55, 12), high=0.65, same_as=same)
    gains, thresholds = np.geomspace(1e-4, 0.8, 10), np.geomspace(0.01, 6, 10)
    replayed = pd.DataFrame(
        [{"gain": g, "threshold": c, "clip_fraction": float(np.exp(-8 * c))} for g in gains for c in thresholds]
    )
    tension_map(arms=measured, axes=axes, grid=replayed)
    texts = " ".join(label.get_text() for label in _labels(axes))
    for expected in ("Optimization 0", "Optimization 1", "held, V falls", "untried by the paper", "2: 32.7", "3 = 1"):
        assert expected in texts
    # The paper moved from IS-KPO-weak to its two optimizations.
    arrows = [text for text in axes.texts if isinstance(text, Annotation) and text.arrow_patch is not None]
    assert len(arrows) == 2
    assert len(axes.get_legend().get_texts()) <= 5
    (points,) = [one for one in axes.collections if isinstance(one, PathCollection)]
    assert points.get_array().tolist() == measured["clip_fraction"].tolist()


def test_a_study_without_the_papers_thresholds_has_no_path_of_it(axes: Axes, grid: pd.DataFrame) -> None:
    own = grid.assign(title=["" if title.startswith("IS") else title for title in grid["title"]])
    tension_map(arms=own, axes=axes)
    texts = " ".join(label.get_text() for label in _labels(axes))
    assert "Optimization" not in texts
    assert "held" not in texts


def test_an_arm_with_settings_of_its_own_is_called_on_the_map_as_in_tables(axes: Axes, grid: pd.DataFrame) -> None:
    named = grid.assign(
        label=[title or f"own {number}" for number, title in zip(grid["number"], grid["title"], strict=True)]
    )
    named["label"] = named["label"].replace({"KPO-strong": "strong-masked", "KPO-weak": "KPO-weak, lr 5e-5"})
    tension_map(arms=named, axes=axes)
    texts = " ".join(label.get_text() for label in _labels(axes))
    assert "KPO-strong" not in texts
    assert "7 KPO-weak" not in texts
    assert "7" in texts.split()


def test_a_profile_is_the_share_of_problems_above_each_accuracy(axes: Axes) -> None:
    arms = pd.DataFrame(
        {"arm": ["a"], "number": [1], "label": ["A"], "gain": [0.1], "kappa": [math.inf], "clip_fraction": [0.0]}
    ).assign(accuracy=0.5)
    counts = pd.DataFrame({"problem_id": list("pqrs"), "correct": [0, 1, 2, 2], "samples": 2})
    counts = counts.assign(arm="a", seed=0, benchmark="b")
    performance_profiles(arms=arms, verdicts=counts, axes=axes)
    (line,) = axes.get_lines()
    assert line.get_xydata().tolist() == [[0.0, 0.75], [0.5, 0.5], [1.0, 0.5]]
    assert len(axes.collections) == 1
    plt.cla()
    performance_profiles(arms=arms.assign(accuracy=math.nan), verdicts=counts, axes=axes)
    assert axes.texts[0].get_text() == "no arm was evaluated"
