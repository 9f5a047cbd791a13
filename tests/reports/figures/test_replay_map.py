"""The replay's map: classes of clip fraction where they belong, and the study's arms on them."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.contour import QuadContourSet

from iskpo.closed_form import steady_state_gain, steady_state_threshold
from iskpo.replay.refilter import ReplaySettings
from reports.figures.replay_map import replay_map
from reports.figures.style import use_style


@pytest.fixture
def pooled() -> pd.DataFrame:
    """A grid as a replay makes it, clipped as a Pareto tail: 1e-2 of tokens above 0.1, a decade a decade."""
    settings = ReplaySettings.grid(gain=np.geomspace(1e-4, 0.9, 12), threshold=np.geomspace(1e-2, 10, 16))
    threshold = np.asarray(steady_state_threshold(q=settings.q, v=settings.v, kappa=settings.kappa))
    fraction = np.minimum(1, 1e-3 / threshold)
    fraction[threshold > 5] = 0
    gain = steady_state_gain(q=settings.q, v=settings.v)
    return pd.DataFrame({"gain": gain, "threshold": threshold, "clip_fraction": fraction, "tokens": 1000})


def test_classes_and_arms_are_where_they_belong(pooled: pd.DataFrame) -> None:
    arms = pd.DataFrame(
        {
            "number": [1, 2, 3],
            "title": ["", "KPO-strong", ""],
            "numerics": ["exact"] * 3,
            "gain": [0.01, 0.001, 1e-6],  # the last lies outside the grid
            "threshold": [0.1, math.inf, 0.1],
        }
    )
    use_style()
    figure, axes = plt.subplots(figsize=(6.7, 4.1), layout="constrained")
    replay_map(pooled=pooled, arms=arms, axes=axes)
    filled, lines = [c for c in axes.collections if isinstance(c, QuadContourSet)]
    assert filled.levels[0] == 0
    assert filled.levels[-1] >= 1
    heights = {
        level: path.vertices[:, 1].mean()
        for level, path in zip(lines.levels, lines.get_paths(), strict=True)
        if len(path.vertices)
    }
    # The line of 1 % lies at 0.1, of 0.1 % at 1; between grid lines contours are straight, which the tail is not.
    assert heights[1e-2] == pytest.approx(0.1, rel=0.1)
    assert heights[1e-3] == pytest.approx(1.0, rel=0.1)
    (points,) = [c for c in axes.collections if type(c) is PathCollection]
    drawn = np.asarray(points.get_offsets())
    assert drawn[0] == pytest.approx([0.01, 0.1])
    assert drawn[1, 0] == pytest.approx(0.001)
    assert drawn[1, 1] > pooled["threshold"].max()
    assert len(drawn) == 2
    assert [text.get_text() for text in axes.texts] == ["1", "2 KPO-strong"]
    assert "κ = ∞" in [label.get_text() for label in axes.get_yticklabels()]
    plt.close(figure)
