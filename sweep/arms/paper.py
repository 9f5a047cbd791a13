"""The five configurations of the IS-KPO paper, what it reported of each, and what an arm's note says of them.

Qwen3-4B-Base, 16 steps on DAPO-Math-17k (its Tables 1 and 3, section 4.4); it says nothing of seeds. They are read from
``paper_reported.yaml``, the only place where the paper's numbers stand; `studies/paper/reported.yaml` is a link to it,
for the audit. The gains and thresholds are the paper's claims and are kept as such: the closed forms disagree with
several of them (its "~2 %" is the gain at the second token).
"""

import math
from dataclasses import dataclass
from pathlib import Path

from sweep.arms.arm import Arm
from sweep.arms.losses import NEIGHBOURS
from sweep.input.yaml_source import load_yaml

REPORTED = Path(__file__).with_name("paper_reported.yaml")


@dataclass(frozen=True)
class PaperArm:
    """One configuration of the paper.

    Attributes:
        name: Short name, as arms are named in study files.
        title: The paper's own name.
        q: Process noise variance.
        v: Measurement noise variance.
        kappa: Clipping threshold in standard deviations; infinity for none.
        gain: Kalman gain as reported, or None.
        threshold: Clipping threshold as reported, in log-ratio units, or None.
        math500: MATH-500 avg@16 as reported, in per cent.
    """

    name: str
    title: str
    q: float
    v: float
    kappa: float
    gain: float | None
    threshold: float | None
    math500: float


def _printed(text: str) -> float:
    """The number in a printed one: ``~2%`` is 2."""
    return float(text.strip("~%< "))


def _read() -> tuple[tuple[PaperArm, ...], float]:
    reported = load_yaml(REPORTED).data
    # The closed forms' threshold is that of an innovation; the measurement noise's own is listed too.
    thresholds = {claim["arm"]: claim["claim"] for claim in reported["thresholds"] if "of" not in claim}
    gains = {claim["arm"]: claim["claim"] for claim in reported["gains"]}
    accuracies = {row["arm"]: row["average"] for row in reported["accuracies"] if row["benchmark"] == "MATH-500"}
    arms = tuple(
        PaperArm(
            name=str(arm["name"]).lower().replace("optimization ", "opt-"),
            title=arm["name"],
            q=float(arm["q"]),
            v=float(arm["v"]),
            kappa=float(arm["kappa"]),
            gain=_printed(gains[arm["name"]]) / 100 if arm["name"] in gains else None,
            threshold=_printed(thresholds[arm["name"]]) if arm["name"] in thresholds else None,
            math500=_printed(accuracies[arm["name"]]),
        )
        for arm in reported["arms"]
    )
    return arms, max(_printed(row["largest_innovation"]) for row in reported["clipping"] if "largest_innovation" in row)


# LARGEST_INNOVATION is the largest innovation that the paper reports (Table 2, KPO-weak, step 5), in log-ratio units.
PAPER_ARMS, LARGEST_INNOVATION = _read()


def paper_arm(arm: Arm) -> PaperArm | None:
    """The paper's configuration that an arm repeats, or None. The paper's filter starts at rho_0 = 0, P_0 = 0."""
    if (arm.p0, arm.rho0, arm.gradient, arm.estimator) != (0.0, 0.0, "straight_through", "clip"):
        return None
    if arm.advantage not in (None, "grpo") or arm.dynamic_sampling:
        return None
    for known in PAPER_ARMS:
        if (known.q, known.v, known.kappa) == (arm.q, arm.v, arm.kappa):
            return known
    return None


def untried_by_the_paper(arm: Arm) -> bool:
    """Whether an arm clips, at a lower gain and a lower threshold than any arm of the paper that clips."""
    clipped = [Arm(name=known.name, q=known.q, v=known.v, kappa=known.kappa) for known in PAPER_ARMS]
    clipped = [known for known in clipped if math.isfinite(known.kappa)]
    return (
        arm.estimator == "clip"
        and math.isfinite(arm.kappa)
        and arm.predicted_gain < min(known.predicted_gain for known in clipped)
        and arm.predicted_threshold < min(known.predicted_threshold for known in clipped)
    )


def paper_note(known: PaperArm) -> str:
    """What an arm has of the paper's: its profile, learning rate and bounds may be others."""
    return f"Q, V, kappa of the paper's {known.title}"


def note(arm: Arm) -> str:
    """What is worth knowing of an arm beyond its numbers."""
    notes = [arm.settings_text] if arm.settings else []
    if not arm.has_filter:
        neighbour, bounds = NEIGHBOURS[arm.loss], arm.clip_bounds
        clips = f", {neighbour.limited} at -{bounds[0]:g} and +{bounds[1]:g}" if bounds else ""
        notes.append(f"{neighbour.title} ({neighbour.source}){clips}")
    if arm.advantage is not None:
        notes.append(f"advantage {arm.advantage}")
    if arm.dynamic_sampling:
        notes.append("dynamic sampling")
    if not arm.has_filter:
        return "; ".join(notes)
    if (known := paper_arm(arm)) is not None:
        notes.append(paper_note(known))
    elif untried_by_the_paper(arm):
        notes.append("low gain, low threshold: untried by the paper")
    if arm.estimator != "clip":
        notes.append(f"estimator {arm.estimator}" + (", gain depends on the data" if arm.gain_depends_on_data else ""))
    if arm.threshold_depends_on_data:
        notes.append("threshold depends on the data")
    if math.isfinite(arm.state_kappa):
        notes.append(f"state threshold {arm.state_kappa:g}")
    if arm.numerics != "exact":
        notes.append(f"numerics {arm.numerics}")
    if arm.gradient != "straight_through":
        notes.append("gradient through the filter")
    if arm.p0 != 0:
        notes.append(f"P0 {arm.p0:g}")
    if arm.rho0 != 0:
        notes.append(f"rho0 {arm.rho0:g}")
    return "; ".join(notes)
