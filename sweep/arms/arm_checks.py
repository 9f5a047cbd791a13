"""What the parts of an arm rule out together, beyond each one's own range."""

import math
import re

from sweep.arms.arm import Arm

# Of Q/V; the gain is then between 1e-15 and 1 - 1e-15, as far as float64 can tell it from 0 and 1.
_RATIOS = (1e-30, 1e15)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


def arm_problems(arm: Arm) -> list[str]:
    """Everything that is wrong with an arm, in words that name its keys; empty for one that can train."""
    problems = [] if _NAME.fullmatch(arm.name) else ["its name is no folder's: letters, digits, '.', '_', '+' and '-'"]
    if not arm.has_filter:
        return problems
    if arm.q == 0 and arm.p0 == 0:
        problems.append("with q = 0 and p0 = 0 the gain is 0 for ever: the filter never sees a log ratio")
    elif arm.q > 0 and not _RATIOS[0] <= arm.q / arm.v <= _RATIOS[1]:
        problems.append(
            f"q / v = {arm.q / arm.v:g} is outside {_RATIOS[0]:g} to {_RATIOS[1]:g}: the gain would be 0 or 1"
        )
    if arm.numerics == "public-cumsum-fp32" and math.isfinite(arm.kappa):
        problems.append("numerics public-cumsum-fp32 cannot clip: leave kappa out (.inf), or set numerics: exact")
    if arm.numerics == "public-cumsum-fp32" and arm.estimator != "clip":
        problems.append(f"numerics public-cumsum-fp32 is one formula, without the estimator {arm.estimator}")
    if arm.estimator == "ema" and math.isfinite(arm.kappa):
        problems.append("estimator ema has no threshold: leave kappa out (.inf)")
    if arm.estimator not in ("clip", "ema") and math.isinf(arm.kappa):
        problems.append(f"estimator {arm.estimator} with kappa = .inf is the plain Kalman filter: set a finite kappa")
    return problems
