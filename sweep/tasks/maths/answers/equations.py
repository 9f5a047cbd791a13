"""Equations and inequalities: what they name, what value they give it, and when two of them say the same."""

from collections.abc import Callable, Sequence

import mpmath

from sweep.tasks.maths.answers.expressions import decimal, proportional, rounds
from sweep.tasks.maths.answers.numerals import Tree, plain
from sweep.tasks.maths.answers.values import PRECISION, Evaluator, symbols

Verdict = tuple[bool, str]
"""Whether two answers are the same, and the rule that says so."""
Same = Callable[[Tree, Tree], Verdict]


def relations(truth: Tree, answer: Tree, same: Same, sets: Callable[[Tree, Tree], Verdict | None]) -> Verdict | None:
    """Compare where one of both is an equation or an inequality; None where that does not decide."""
    if "relation" not in (truth[0], answer[0]):
        return None
    sides = [named(tree, same) for tree in (truth, answer)]
    if answer[0] == "relation" and sides[1] is False:
        return False, "false equation"
    named_truth, named_answer = sides
    if isinstance(named_truth, tuple) and isinstance(named_answer, tuple):
        (name, values), (other, others) = named_truth, named_answer
        comparable = name is None or other is None or plain(name) == plain(other)
        if comparable and (verdict := _any_of(values, others, same))[0]:
            return verdict
        free = any(symbols(value) for value in (*values, *others) if value[0] not in ("seq", "list"))
        if free or not (_is_own_name(name) and _is_own_name(other)):
            return _equations(truth, answer, same)
        return False, "variable on the left"
    if isinstance(named_answer, tuple) and truth[0] != "relation":
        return _any_of((truth,), named_answer[1], same)
    if isinstance(named_truth, tuple) and answer[0] != "relation":
        if not _is_own_name(named_truth[0]):  # x + y = 10 is a line, not 10
            return False, "equation"
        return _any_of(named_truth[1], (answer,), same)
    if truth[0] == answer[0] == "relation":
        solved = (
            isinstance(named_truth, tuple)
            and _is_own_name(named_truth[0])
            and not any(symbols(value) for value in named_truth[1])
        )
        if solved and truth[2::2] == ("=",) and answer[2::2] == ("=",):
            return False, "equation not solved"
        return sets(truth, answer) or _equations(truth, answer, same)
    return None


def named(tree: Tree, same: Same) -> tuple[Tree | None, tuple[Tree, ...]] | bool | None:
    """Name and values of ``x = 5`` or ``x = 10/2 = 5``; False where its sides contradict each other, None otherwise."""
    if tree[0] != "relation" or not set(tree[2::2]) <= {"=", "~"}:
        return None
    sides, operators = tree[1::2], tree[2::2]
    if len(sides) == 2 and not _is_name(sides[0]) and _is_name(sides[1]) and not symbols(sides[0]):
        sides = sides[::-1]
    first, rest = sides[0], sides[1:]
    own = frozenset() if first[0] == "call" and first[1].startswith("?") else symbols(first)
    if _is_name(first) and not any(own & symbols(side) for side in rest if side[0] not in ("seq", "list")):
        name, operators = first, operators[1:]
    elif not any(symbols(side) for side in sides) and first[0] not in ("seq", "list", "words", "matrix"):
        name, rest = None, sides
    else:
        return None
    for left, operator, right in zip(rest, operators, rest[1:], strict=False):
        if not (same(left, right)[0] if operator == "=" else _roughly(left, right, same)):
            return False
    return name, rest


def _roughly(left: Tree, right: Tree, same: Same) -> bool:
    written = decimal(right)
    if written is None or symbols(left):
        return same(left, right)[0]
    with mpmath.workprec(PRECISION):
        return rounds(written, Evaluator()(left), fewest=2)


def _is_name(tree: Tree) -> bool:
    """Whether a left side names what is asked for: a symbol, a function's value, letters joined, ``(x, y)``."""
    if tree[0] in ("sym", "words"):
        return True
    if tree[0] == "call":
        return tree[1].startswith("?") or all(_is_name(part) for part in tree[2:])
    if tree[0] in ("add", "mul", "div", "neg"):
        return all(_is_name(part) for part in tree[1:])
    if tree[0] == "pow":
        return _is_name(tree[1]) and tree[2][0] == "num"
    if tree[0] == "seq":
        return tree[1:3] == ("(", ")") and all(part[0] == "sym" for part in tree[3:])
    if tree[0] == "ratio":
        return all(_is_name(part) for part in tree[2:])
    return False


def _is_own_name(tree: Tree | None) -> bool:
    """Whether a name is of one thing: x, f(x), an area, AB, (x, y); not a sum or a product of unknowns."""
    if tree is None or tree[0] in ("sym", "words", "call", "seq", "ratio"):
        return True
    return tree[0] == "mul" and all(name.isupper() for name in symbols(tree))


def assignments(tree: Tree, same: Same) -> dict[str, Tree] | None:
    """Values by symbol of ``x = 1, y = 2``, in alphabetical order, or of ``(x, y) = (1, 2)``; None for one symbol."""
    found: dict[str, Tree] = {}
    if tree[0] == "list":
        for item in tree[2:]:
            known = named(item, same) if item[0] == "relation" else None
            if not isinstance(known, tuple) or known[0] is None or known[0][0] != "sym" or known[0][1] in found:
                return None
            found[known[0][1]] = known[1][-1]
        found = dict(sorted(found.items()))
    elif tree[0] == "relation" and tree[1][0] == "seq" and len(tree) == 4 and tree[3][0] == "seq":
        names, values = tree[1][3:], tree[3][3:]
        if len(names) == len(values) and all(name[0] == "sym" for name in names):
            found = {name[1]: value for name, value in zip(names, values, strict=True)}
    numbered = (
        tree[0] == "list" and len({name.partition("_")[0] for name in found}) == 1
    )  # x_1 and x_2 are in any order
    return found if len(found) > 1 and not numbered else None


def _any_of(truths: Sequence[Tree], answers: Sequence[Tree], same: Same) -> Verdict:
    verdict: Verdict = (False, "kinds differ")
    for truth in truths:
        for answer in answers:
            verdict = same(truth, answer)
            if verdict[0]:
                return verdict
    return verdict


def _equations(truth: Tree, answer: Tree, same: Same) -> Verdict:
    """Equations, and inequalities, whose difference of sides is the same but for a factor."""
    if len(truth) != 4 or len(answer) != 4:
        alike = len(truth) == len(answer) and truth[2::2] == answer[2::2]
        return alike and all(same(*pair)[0] for pair in zip(truth[1::2], answer[1::2], strict=True)), "equation"
    directed = []
    for _, left, operator, right in (truth, answer):
        if operator in (">", ">="):
            left, operator, right = right, {">": "<", ">=": "<="}[operator], left
        directed.append((operator, ("add", left, ("neg", right))))
    (operator, difference), (other_operator, other) = directed
    if operator != other_operator or operator in ("in", "~"):
        return False, "equation"
    return proportional(difference, other, positive=operator in ("<", "<=")), "equation"
