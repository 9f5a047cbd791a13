"""What people call an arm, in the same words in tables, figures, MLflow and the report."""

import math
import re

from sweep.arms.arm import Arm
from sweep.arms.losses import ISKPO
from sweep.arms.paper import paper_arm
from sweep.arms.verl_settings import labels, name_part, value_text

# Follows an arm's name wherever it stands: its numbers are not those of the exact filter.
_PUBLIC_MARK = " (public float32)"
# Names that a grid (``Q1e-06_V1_k3``) or a space of gains and thresholds (``gain0.001_unclipped``) makes of numbers.
_OF_A_GRID = re.compile(r"Q[^_]+_V[^_]+_k[^_]+")
_OF_GAINS = re.compile(r"gain[^_]+_(threshold[^_]+|unclipped)")


def arm_label(arm: Arm) -> str:
    """The paper's name for an arm where it has one, its numbers where a search space named it, else its own name.

    Settings of verl's follow a name that does not hold them; so does the estimator unless it is clipping, and a mark
    where the numerics are the published ones.

    >>> arm_label(Arm(name="Q1e-06_V0.01_kinf", q=1e-6, v=1e-2)), arm_label(Arm(name="a", q=1e-6, v=1.0))
    ('Q = 1e-6, V = 0.01, no clipping', 'KPO-strong')
    """
    known, exact = paper_arm(arm), arm.numerics == "exact"
    base, appended = _base_and_axes(arm)
    if known is not None and exact and (len(appended) == len(arm.settings) or base == known.name):
        name = known.title
    elif _OF_A_GRID.match(arm.name):
        name = f"Q = {_short(arm.q)}, V = {_short(arm.v)}, {clipping_text(arm)}"
    elif _OF_GAINS.match(arm.name):
        threshold = arm.predicted_threshold
        limit = f"threshold {_short(threshold)}" if math.isfinite(threshold) else "no clipping"
        name = f"gain {_short(100 * arm.predicted_gain)} %, {limit}"
    else:
        capitals = arm.loss != ISKPO and base == arm.loss
        own = ", ".join([base.upper().replace("_", "-") if capitals else base, *appended])
        return own + _marks(arm, exact=exact, named=True)
    return ", ".join(filter(None, [name, _people_write(arm.settings_text)])) + _marks(arm, exact=exact)


def _base_and_axes(arm: Arm) -> tuple[str, list[str]]:
    """The arm's name without what the axes of its space appended to it, and that in words.

    >>> _base_and_axes(Arm(name="grpo_lr5e-05", loss="grpo", settings={"temperature": 0.9, "lr": 5e-5}))
    ('grpo', ['lr 5e-5'])
    """
    name, words = arm.name, labels(arm.settings)
    appended: list[str] = []
    for key, value in reversed(list(arm.settings.items())):
        if name.endswith(ending := f"_{name_part(words[key], value)}"):
            name = name.removesuffix(ending)
            appended.insert(0, f"{words[key]} {_people_write(value_text(value))}")
    return name, appended


def clipping_text(arm: Arm) -> str:
    """The threshold that tells an arm from one with the same filter.

    >>> clipping_text(Arm(name="a", q=1e-6, v=1.0, kappa=3.0)), clipping_text(Arm(name="a", q=1e-6, v=1.0))
    ('κ = 3', 'no clipping')
    """
    return f"κ = {_short(arm.kappa)}" if math.isfinite(arm.kappa) else "no clipping"


def _marks(arm: Arm, *, exact: bool, named: bool = False) -> str:
    said = arm.estimator == "clip" or (named and arm.estimator in arm.name.split("_"))
    return ("" if said else f" ({arm.estimator})") + ("" if exact else _PUBLIC_MARK)


def _short(value: float) -> str:
    """Three digits, with the exponent as people write it.

    >>> _short(1e-06), _short(0.30162), _short(3.0)
    ('1e-6', '0.302', '3')
    """
    return _people_write(f"{value:.3g}")


def _people_write(text: str) -> str:
    return re.sub(r"(?<=\d)e([-+])0*(?=\d)", lambda found: f"e{found[1].strip('+')}", text)
