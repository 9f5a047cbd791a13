"""Sets of numbers, lists, tuples and matrices."""

from typing import Any

from sweep.tasks.maths.answers.equations import Same, Verdict, assignments
from sweep.tasks.maths.answers.numerals import Tree
from sweep.tasks.maths.answers.real_sets import NoSetError, real_set, same_set, variable

_LARGEST = 64
"""Most items of a list that are compared with each other."""


def sets(truth: Tree, answer: Tree, same: Same) -> Verdict | None:
    """As sets of real numbers, where one of both can be nothing else."""
    if not any(_is_set(tree) for tree in (truth, answer)):
        return None
    names = [variable(tree) for tree in (truth, answer)]
    if None not in names and names[0] != names[1]:
        return False, "variable on the left"
    try:
        return same_set(
            *(real_set(tree, name=name) for tree, name in zip((truth, answer), names, strict=True))
        ), "interval"
    except NoSetError:
        pass
    if truth[0] == answer[0] and truth[0] in ("union", "minus", "meet"):
        pairs = [(truth[1], answer[1]), (truth[2], answer[2])]
        return all(same(*pair)[0] for pair in pairs), "interval"
    if truth[0] == "relation" and answer[0] != "relation" and truth[2::2] == ("in",):
        return same(truth[3], answer)
    if answer[0] == "relation" and truth[0] != "relation" and answer[2::2] == ("in",):
        return same(truth, answer[3])
    if "list" in (truth[0], answer[0]) or truth[0] == answer[0] == "relation":
        return None
    return False, "kinds differ"


def _is_set(tree: Tree) -> bool:
    if tree[0] == "relation":
        return not set(tree[2::2]) <= {"=", "~"}
    if tree[0] == "list":
        return tree[1] in ("or", "and") and all(item[0] == "relation" for item in tree[2:])
    return tree[0] in ("union", "meet", "minus") or tree == ("special", "reals") or tree == ("special", "empty")


def collections(truth: Tree, answer: Tree, same: Same) -> Verdict | None:
    """Compare where one of both is a list, a set, a tuple or a matrix; None where none is."""
    truth, answer = _matrix_of(truth), _matrix_of(answer)
    kinds = {truth[0], answer[0]}
    if not kinds & {"seq", "list", "matrix"}:
        return None
    if kinds == {"matrix"}:
        shapes = [(len(tree) - 1, len(tree[1])) for tree in (truth, answer)]
        if shapes[0] != shapes[1]:
            return False, "matrix"
        return _in_order([e for row in truth[1:] for e in row], [e for row in answer[1:] for e in row], "matrix", same)
    orders = [_order(tree) for tree in (truth, answer)]
    items = [_items(tree) for tree in (truth, answer)]
    if len(items[0]) > _LARGEST or len(items[1]) > _LARGEST:
        return False, "too large"
    if "single" in orders:
        if "set" in orders and len(items[0]) == len(items[1]) == 1:
            return same(items[0][0], items[1][0])
        if answer[:2] == ("list", "or") and "set" not in orders:  # 1/2 or 0.5 is one answer
            return all(same(truth, item)[0] for item in items[1]), "list"
        return False, "list"
    if orders == ["set", "set"] or sorted(orders) == ["list", "set"]:
        return _each_in(items[0], items[1], same) and _each_in(items[1], items[0], same), "set"
    if orders == ["list", "list"]:
        return _matched(items[0], items[1], same), "list"
    if "set" in orders:
        return False, "set and tuple"
    return _in_order(items[0], items[1], "tuple", same) if _brackets_agree(truth, answer) else (False, "brackets")


def _order(tree: Tree) -> str:
    if tree[0] == "list":
        return "list"
    if tree[0] == "seq":
        return "set" if tree[1] == "{" else "tuple"
    return "tuple" if tree[0] == "matrix" and (len(tree) == 2 or len(tree[1]) == 1) else "single"


def _items(tree: Tree) -> list[Tree]:
    if tree[0] == "matrix":
        return [entry for row in tree[1:] for entry in row]
    return list(tree[{"list": 2, "seq": 3}[tree[0]] :]) if tree[0] in ("list", "seq") else [tree]


def _brackets_agree(truth: Tree, answer: Tree) -> bool:
    """Brackets say whether ends belong to an interval, where there are two items; of more items, they say nothing."""
    brackets = [tree[1:3] if tree[0] == "seq" else ("(", ")") for tree in (truth, answer)]
    return brackets[0] == brackets[1] or len(_items(truth)) > 2


def _matrix_of(tree: Tree) -> Tree:
    """A matrix with a factor, as a matrix."""
    if tree[0] == "neg" and _matrix_of(tree[1])[0] == "matrix":
        return _scaled(_matrix_of(tree[1]), lambda entry: ("neg", entry))
    if tree[0] == "mul":
        for factor, matrix in ((tree[1], tree[2]), (tree[2], tree[1])):
            if factor[0] != "matrix" and _matrix_of(matrix)[0] == "matrix":
                return _scaled(_matrix_of(matrix), lambda entry, factor=factor: ("mul", factor, entry))
    if tree[0] == "div" and _matrix_of(tree[1])[0] == "matrix":
        return _scaled(_matrix_of(tree[1]), lambda entry: ("div", entry, tree[2]))
    return tree


def _scaled(matrix: Tree, change: Any) -> Tree:
    return ("matrix", *(tuple(change(entry) for entry in row) for row in matrix[1:]))


def systems(truth: Tree, answer: Tree, same: Same) -> Verdict | None:
    """Values of several symbols against each other, or against values alone in their order."""
    found = [assignments(tree, same) for tree in (truth, answer)]
    if found[0] is None and found[1] is None:
        return None
    if found[0] is not None and found[1] is not None:
        if found[0].keys() != found[1].keys():
            return False, "variable on the left"
        return all(same(found[0][name], found[1][name])[0] for name in found[0]), "equation"
    assigned, other = (found[0], answer) if found[0] is not None else (found[1], truth)
    assert assigned is not None
    if _order(other) == "single" or any(item[0] == "relation" for item in _items(other)):
        return None
    if _order(other) == "set" or (other[0] == "seq" and other[1:3] != ("(", ")")):
        return False, "set and tuple"
    return _in_order(list(assigned.values()), _items(other), "tuple", same)


def _in_order(truths: list[Tree], answers: list[Tree], rule: str, same: Same) -> Verdict:
    if len(truths) != len(answers):
        return False, rule
    return all(same(*pair)[0] for pair in zip(truths, answers, strict=True)), rule


def _each_in(some: list[Tree], others: list[Tree], same: Same) -> bool:
    return all(any(same(one, other)[0] for other in others) for one in some)


def _matched(truths: list[Tree], answers: list[Tree], same: Same) -> bool:
    """Whether each item has a partner of its own, in any order."""
    if len(truths) != len(answers):
        return False
    left = list(answers)
    for truth in truths:
        partner = next((place for place, answer in enumerate(left) if same(truth, answer)[0]), None)
        if partner is None:
            return False
        del left[partner]
    return True
