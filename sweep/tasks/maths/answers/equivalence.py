r"""Whether two answers are the same: which rule decides, kind by kind. The rules in words are in ``docs/grading.md``.

Both answers are read by the same reader, without knowing the problem. Where a notation leaves something open, the
answer is refused: a wrong answer that is rewarded teaches more than a right one that is not.

Unbounded in time for some expressions: see `grading_process`.
"""

import re
from dataclasses import dataclass

from sweep.tasks.maths.answers.arithmetic import NoNumberError, TooLargeError, UndefinedError
from sweep.tasks.maths.answers.equations import Verdict, relations
from sweep.tasks.maths.answers.interpret import choice, read
from sweep.tasks.maths.answers.lists import collections, sets, systems
from sweep.tasks.maths.answers.notation import clean, same_writing
from sweep.tasks.maths.answers.numerals import Tree, plain
from sweep.tasks.maths.answers.quantities import quantities, ratios, residues
from sweep.tasks.maths.answers.show import show
from sweep.tasks.maths.answers.values import contains

_ALIKE = frozenset({"num", "sym", "const", "special", "words", "choice", "based", "seq", "list", "union", "relation"})
"""Kinds of tree that are right when they are the same tree; other kinds may have no value, as 1/0 has none."""
_CHOICES = tuple("ABCDEFGHIJ")


@dataclass(frozen=True)
class Comparison:
    """What comparing two answers came to.

    Attributes:
        right: Whether they are the same.
        legible: Whether the answer was read.
        rule: Name of the rule that decided; a heading or a row of ``docs/grading.md``.
        answer: What was read as the answer, "" where it was not read.
        truth: What was read as the right answer.
    """

    right: bool
    legible: bool
    rule: str
    answer: str = ""
    truth: str = ""


def compare(answer: str, truth: str, matching: str = "equivalent") -> Comparison:
    """Compare an answer with the right one.

    Args:
        answer: What was answered.
        truth: What is right.
        matching: ``strict`` asks for the same notation: what is read must be the same tree. ``equivalent`` asks for
            the same mathematics.

    >>> compare("0.5", r"\\frac{1}{2}").right, compare("0.5", r"\\frac{1}{2}", "strict").right
    (True, False)
    """
    texts = clean(answer), clean(truth)
    if not texts[0] or not texts[1]:
        return Comparison(False, False, "empty")
    answered, right = map(read, texts)
    shown = [show(tree) if tree is not None else "" for tree in (answered, right)]
    legible = answered is not None
    if same_writing(*texts):
        return Comparison(True, True, "same text", *shown)
    if (right is None or right[0] == "choice" or right[1] in _CHOICES) and (chosen := choice(texts[0])) is not None:
        answered = chosen
    if right is None and answered is not None and answered[0] in ("choice", "sym"):
        right = choice(texts[1])
    if answered is None or right is None:
        return Comparison(False, legible, "unreadable", *shown)
    if matching == "strict":
        return Comparison(plain(answered) == plain(right), True, "same notation", *shown)
    try:
        verdict, rule = _same(right, answered)
    except TooLargeError:
        verdict, rule = False, "too large"
    except UndefinedError:
        verdict, rule = False, "undefined"
    except NoNumberError:
        verdict, rule = False, "kinds differ"
    return Comparison(verdict, True, rule, *shown)


def _same(truth: Tree, answer: Tree) -> Verdict:
    """Whether two trees are the same answer, and the rule that says so."""
    if truth == answer and truth[0] in _ALIKE:
        return True, "same notation"
    if contains(truth, "pm") or contains(answer, "pm") or _items_have_sign(truth) or _items_have_sign(answer):
        return _same(_signs(truth), _signs(answer))
    if (verdict := _words(truth, answer)) is not None:
        return verdict
    if (verdict := systems(truth, answer, _same)) is not None:
        return verdict
    if (verdict := relations(truth, answer, _same, _sets)) is not None:
        return verdict
    if (verdict := _sets(truth, answer)) is not None:
        return verdict
    if (verdict := collections(truth, answer, _same)) is not None:
        return verdict
    if "ratio" in (truth[0], answer[0]):
        return ratios(truth, answer)
    if "mod" in (truth[0], answer[0]):
        return residues(truth, answer)
    if "based" in (truth[0], answer[0]):
        return truth[0] == answer[0] and truth[1:] == answer[1:], "base"
    if "special" in (truth[0], answer[0]):
        return truth == answer, "special answers"
    return quantities(truth, answer)


def _sets(truth: Tree, answer: Tree) -> Verdict | None:
    return sets(truth, answer, _same)


def _items_have_sign(tree: Tree) -> bool:
    return tree[0] in ("seq", "list") and any(isinstance(part, tuple) and contains(part, "pm") for part in tree)


def _signs(tree: Tree) -> Tree:
    r"""The tree with ``\pm`` written out: an item that has it becomes two."""
    if tree[0] == "list" or (tree[0] == "seq" and tree[1] == "{"):
        head = 2 if tree[0] == "list" else 3
        items: list[Tree] = []
        for item in tree[head:]:
            written = _signs(item)
            items += written[2:] if written[0] == "list" else (written,)
        return (*tree[:head], *items)
    if contains(tree, "pm") or _items_have_sign(tree):
        return ("list", ",", _with_sign(tree, 1), _with_sign(tree, -1))
    return tree


def _with_sign(tree: Tree, sign: int) -> Tree:
    if tree[0] == "mul" and tree[1][0] == "pm":
        inside = _with_sign(tree[2], sign)
        return inside if tree[1][1] * sign > 0 else ("neg", inside)
    return tuple(
        _with_sign(part, sign) if isinstance(part, tuple) and part and isinstance(part[0], str) else part
        for part in tree
    )


def _words(truth: Tree, answer: Tree) -> Verdict | None:
    kinds = {truth[0], answer[0]}
    if not kinds & {"words", "choice"}:
        return None
    if kinds == {"words"}:
        return _spelling(truth[1]) == _spelling(answer[1]), "words"
    letters = [tree[1] if tree[0] in ("choice", "sym", "const", "words") else "" for tree in (truth, answer)]
    if kinds == {"choice"}:
        return letters[0].lower() == letters[1].lower(), "choice"
    if "choice" in kinds and all(len(letter) == 1 for letter in letters):
        return letters[0] == letters[1], "choice"
    if "words" in kinds and all(map(_letters, (truth, answer))):
        return _letters(truth) == _letters(answer), "words"
    named = truth if answer[0] in ("words", "choice") else answer
    if named[0] == "relation" and named[1][0] == "words":
        return None
    return False, "kinds differ"


def _letters(tree: Tree) -> str:
    """The letters of words, or of a product of symbols, which is how a Roman numeral is read; "" of anything else."""
    if tree[0] in ("words", "sym", "const"):
        return str(tree[1])
    if tree[0] == "mul" and all(map(_letters, tree[1:])):
        return _letters(tree[1]) + _letters(tree[2])
    return ""


def _spelling(text: str) -> str:
    words = re.sub(r"[^a-z0-9 ]", "", text.casefold().replace("-", " ")).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)
