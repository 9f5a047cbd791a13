"""The five configurations of the IS-KPO paper, with what it reported of each (its Tables 1 and 3, section 4.4).

Qwen3-4B-Base, 16 steps on DAPO-Math-17k, one training seed an arm. The gains and thresholds are the paper's claims and
are kept as such: the closed forms disagree with several of them (its "~2 %" is the gain at the second token).
"""

import math
from dataclasses import dataclass

from sweep.plan import Arm

# The largest innovation that the paper reports (Table 2, KPO-weak, step 5), in log-ratio units.
LARGEST_INNOVATION = 0.556


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


PAPER_ARMS = (
    PaperArm("kpo-strong", "KPO-strong", 1e-6, 1.0, math.inf, None, None, 59.60),
    PaperArm("kpo-weak", "KPO-weak", 1e-2, 1.0, math.inf, 0.02, None, 47.81),
    PaperArm("is-kpo-weak", "IS-KPO-weak", 1e-2, 1.0, 3.0, 0.02, 3.06, 48.59),
    PaperArm("opt-0", "Optimization 0", 5e-2, 1.0, 1.0, 0.05, None, 43.94),
    PaperArm("opt-1", "Optimization 1", 1e-2, 0.1, 2.0, 0.29, 0.75, 43.58),
)


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
