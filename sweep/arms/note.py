"""What is worth knowing of an arm beyond its numbers."""

from sweep.arms.arm import Arm
from sweep.arms.loss_settings import clip_bounds
from sweep.arms.losses import NEIGHBOURS
from sweep.arms.paper import paper_arm, untried_by_the_paper


def note(arm: Arm) -> str:
    """What is worth knowing of an arm beyond its numbers."""
    notes = []
    if not arm.has_filter:
        neighbour, bounds = NEIGHBOURS[arm.loss], clip_bounds(arm)
        what = "log ratio" if arm.loss == "gmpo" else "ratio - 1"
        clips = f", {what} clipped at -{bounds[0]:g} and +{bounds[1]:g}" if bounds else ""
        notes.append(f"{neighbour.title} ({neighbour.source}){clips}")
    if arm.advantage is not None:
        notes.append(f"advantage {arm.advantage}")
    if arm.dynamic_sampling:
        notes.append("dynamic sampling")
    if not arm.has_filter:
        return "; ".join(notes)
    if (known := paper_arm(arm)) is not None:
        notes.append(f"as in the paper: {known.title}")
    elif untried_by_the_paper(arm):
        notes.append("low gain, low threshold: untried by the paper")
    if arm.estimator != "clip":
        notes.append(f"estimator {arm.estimator}" + (", gain depends on the data" if arm.gain_depends_on_data else ""))
    if arm.numerics != "exact":
        notes.append(f"numerics {arm.numerics}")
    if arm.gradient != "straight_through":
        notes.append("gradient through the filter")
    if arm.p0 != 0:
        notes.append(f"P0 {arm.p0:g}")
    if arm.rho0 != 0:
        notes.append(f"rho0 {arm.rho0:g}")
    return "; ".join(notes)
