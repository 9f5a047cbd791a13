"""What is fitted to the filter's model, on values drawn from the model: Q, V, and noise that follows uncertainty."""

import math

import numpy as np

from benchmarks.calibration_methods import Row, per_cent
from reports.statistics.local_level import fit_local_level
from reports.statistics.uncertain_noise import fit_uncertainty

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


def uncertain_noise(
    *, random: np.random.Generator, repeats: int, problems: int, share: float, spread: float
) -> list[Row]:
    """Coverage of the share of noise that follows the policy's uncertainty; ``spread`` as of `local_level`."""
    held, ends = [], []
    clusters = [f"problem {number // _SEQUENCES}" for number in range(problems * _SEQUENCES)]
    for _ in range(repeats):
        tokens = random.integers(*_TOKENS, endpoint=True, size=len(clusters))
        # Most tokens are sure, as of a policy that was trained: half have a probability above 0.95.
        logits = [3 + 2 * random.standard_normal(count) for count in tokens]
        squares = [(1 / (1 + np.exp(logit))) ** 2 for logit in logits]
        mean = np.mean(np.concatenate(squares))
        scales = np.repeat(np.exp(spread * random.standard_normal(problems) - spread**2 / 2), _SEQUENCES)
        fit = fit_uncertainty(
            innovations=[
                np.sqrt(scale * (1 - share + share * square / mean)) * random.standard_normal(len(square))
                for scale, square in zip(scales, squares, strict=True)
            ],
            old_log_prob=[-np.log1p(np.exp(-logit)) for logit in logits],
            clusters=clusters,
        )
        held.append(fit.low <= share <= fit.high)
        ends.append((fit.low, fit.high))
    low, high = np.median(ends, axis=0)
    row: Row = {"problems": problems, "share": share, "SD of log variance": spread}
    return [row | {"covered": per_cent(held), "interval": f"{low:.2f} to {high:.2f}"}]
