"""The most likely Q and V of the filter's model, which `calibration.py` runs on log ratios drawn from the model."""

import math

import numpy as np

from benchmarks.calibration_methods import Row, per_cent
from reports.statistics.local_level import fit_local_level

# Samples a problem, and the range of their tokens, as in the tiny profile.
_SEQUENCES, _TOKENS = 4, (30, 75)
_NOISE = 1e-4


def local_level(*, random: np.random.Generator, repeats: int, problems: int, gain: float, spread: float) -> list[Row]:
    """Coverage of K, Q and V where problems' variances differ; ``spread`` is the SD of their logarithm."""
    truth = {"gain": gain, "q": gain**2 / (1 - gain) * _NOISE, "v": _NOISE}
    held: dict[str, list[bool]] = {name: [] for name in truth}
    ends: dict[str, list[tuple[float, float]]] = {name: [] for name in truth}
    clusters = [f"problem {number // _SEQUENCES}" for number in range(problems * _SEQUENCES)]
    for _ in range(repeats):
        # Their mean is 1, so that Q and V are means over all problems that could be asked.
        scales = np.exp(spread * random.standard_normal(problems) - spread**2 / 2)
        sequences = []
        for scale in np.repeat(np.sqrt(scales), _SEQUENCES):
            level, noise = random.standard_normal((2, int(random.integers(*_TOKENS, endpoint=True))))
            sequences.append(scale * (math.sqrt(truth["q"]) * np.cumsum(level) + math.sqrt(truth["v"]) * noise))
        for name, (low, high) in fit_local_level(sequences=sequences, clusters=clusters).intervals.items():
            held[name].append(low <= truth[name] <= high)
            ends[name].append((low / truth[name], high / truth[name]))
    row: Row = {"problems": problems, "K": f"{100 * gain:g} %", "SD of log variance": spread}
    for name, label in (("gain", "K"), ("q", "Q"), ("v", "V")):
        low, high = np.median(ends[name], axis=0)
        row |= {f"{label} covered": per_cent(held[name]), f"{label}, ends / truth": f"{low:.2f} to {high:.2f}"}
    return [row]
