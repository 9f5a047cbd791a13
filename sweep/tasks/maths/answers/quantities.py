"""Numbers with something beside them: units, percent, degrees, a modulus, a ratio or a time of day."""

from fractions import Fraction

import mpmath

from sweep.tasks.maths.answers.equations import Verdict
from sweep.tasks.maths.answers.expressions import same_value
from sweep.tasks.maths.answers.numerals import Tree, number
from sweep.tasks.maths.answers.values import PRECISION, Evaluator, symbols


def ratios(truth: Tree, answer: Tree) -> Verdict:
    """Compare ratios, or times of day, which are written alike; a ratio of two parts is right for a fraction."""
    if truth[0] != answer[0]:
        ratio, other = (truth, answer) if truth[0] == "ratio" else (answer, truth)
        if len(ratio) != 4 or ratio[1] or other[0] in ("quantity", "percent", "deg"):
            return False, "ratio"
        return same_value(("div", ratio[2], ratio[3]), other), "ratio"
    if len(truth) != len(answer):
        return False, "ratio"
    times = [_minutes(tree) for tree in (truth, answer)]
    if truth[1] or answer[1] or None not in times:
        if None in times:
            return False, "time of day"
        if truth[1] and answer[1]:
            return times[0] == times[1], "time of day"
        plain = [_minutes(("ratio", "", *tree[2:])) for tree in (truth, answer)]
        return plain[0] == plain[1] or times[0] == times[1], "time of day"
    return all(
        same_value(("mul", truth[2], answer[place]), ("mul", answer[2], truth[place])) for place in range(3, len(truth))
    ), "ratio"


def _minutes(tree: Tree) -> Fraction | None:
    """The time of day that a ratio may be, in seconds; None where it is none."""
    parts = [part[1] if part[0] == "num" and part[1].denominator == 1 else Fraction(99) for part in tree[2:]]
    if not 2 <= len(parts) <= 3 or parts[0] > 24 or any(part > 59 for part in parts[1:]):
        return None
    if not tree[1] and parts[1] < 10 and parts[1] != 0:  # 3:4 is a ratio: a time is written 3:04
        return None
    hour = parts[0] % 12 + (12 if tree[1] == "p" else 0) if tree[1] else parts[0]
    return hour * 3600 + parts[1] * 60 + (parts[2] if len(parts) == 3 else 0)


def residues(truth: Tree, answer: Tree) -> Verdict:
    """Compare numbers to a modulus, which may be left out on one side."""
    if truth[0] == answer[0]:
        if not same_value(truth[2], answer[2]):
            return False, "residue"
        difference = ("div", ("add", truth[1], ("neg", answer[1])), truth[2])
        with mpmath.workprec(PRECISION):
            value = Evaluator()(difference) if not symbols(difference) else None
        return isinstance(value, Fraction) and value.denominator == 1, "residue"
    residue, other = (truth[1], answer) if truth[0] == "mod" else (answer[1], truth)
    return same_value(residue, other), "residue"


def quantities(truth: Tree, answer: Tree) -> Verdict:
    """Compare values, with the unit, percent sign or degree sign that may be left out on one side."""
    truth, answer = _outside(truth), _outside(answer)
    kinds = [tree[0] if tree[0] in ("quantity", "percent", "deg") else "plain" for tree in (truth, answer)]
    if kinds == ["plain", "plain"]:
        return same_value(truth, answer), "value"
    if kinds[0] == kinds[1]:
        if kinds[0] != "quantity":
            return same_value(truth[1], answer[1]), {"percent": "percent", "deg": "degrees"}[kinds[0]]
        (unit, factor), (other, other_factor) = truth[2], answer[2]
        if unit != other:
            return False, "unit"
        if factor == other_factor:
            return same_value(truth[1], answer[1]), "unit"
        return same_value(("mul", truth[1], number(factor)), ("mul", answer[1], number(other_factor))), "unit"
    if "plain" not in kinds:
        return False, "unit"
    marked, plain = (truth, answer) if kinds[1] == "plain" else (answer, truth)
    if marked[0] == "quantity":
        return same_value(marked[1], plain), "unit left out"
    if marked[0] == "deg":
        return same_value(marked[1], plain) or same_value(marked, plain), "degrees"
    if same_value(marked, plain):
        return True, "percent"
    if symbols(plain):
        return False, "percent"
    with mpmath.workprec(PRECISION):
        value = Evaluator()(plain)
    return bool(not isinstance(value, mpmath.mpc) and value > 1 and same_value(marked[1], plain)), "percent"


def _outside(tree: Tree) -> Tree:
    """A sign before a percentage, or an angle, as a sign of its number."""
    if tree[0] == "neg" and (inside := _outside(tree[1]))[0] in ("percent", "deg", "quantity"):
        return (inside[0], ("neg", inside[1]), *inside[2:])
    return tree
