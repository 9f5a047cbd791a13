r"""Values of expressions: exact as long as they are rational, else to hundreds of bits.

Two expressions without symbols are equal where their values agree to the last bit at two precisions, which for numbers
of a few hundred characters is as good as a proof and takes a fraction of a millisecond. Expressions in symbols are
compared at points. A value that would need an astronomical number of digits is refused, and so is a sum of which one
term is lost beside the other: nothing is equal because it was rounded.
"""

from collections.abc import Mapping
from fractions import Fraction

import mpmath
from mpmath import mp

from sweep.tasks.maths.answers.arithmetic import (
    FUNCTIONS,
    NoNumberError,
    TooLargeError,
    UndefinedError,
    Value,
    add,
    as_real,
    divide,
    logarithm,
    multiply,
    of_many,
    power,
)
from sweep.tasks.maths.answers.numerals import Tree

PRECISION, FINE = 256, 1024
"""Bits of the first look, and of the second."""

_MOST_TERMS = 2_000


def symbols(tree: Tree) -> frozenset[str]:
    """The symbols of a tree, bound ones left out."""
    if tree[0] == "sym":
        return frozenset({tree[1]})
    if tree[0] in ("sum", "prod"):
        return frozenset().union(*(symbols(part) for part in tree[2:])) - symbols(tree[1])
    return frozenset().union(
        *(symbols(part) for part in tree[1:] if isinstance(part, tuple) and part and isinstance(part[0], str))
    )


def contains(tree: Tree, *kinds: str) -> bool:
    """Whether a node of one of these kinds is in the tree; a constant is named by its name, a function too."""
    if tree[0] in kinds or (tree[0] in ("const", "call") and tree[1] in kinds):
        return True
    return any(
        contains(part, *kinds) for part in tree[1:] if isinstance(part, tuple) and part and isinstance(part[0], str)
    )


class Evaluator:
    """Evaluates trees at a point.

    Args:
        point: The symbols' values.
        log_base: The base of ``\\log`` without one, None for e.
        sign: What ``\\pm`` stands for.
    """

    def __init__(self, point: Mapping[str, Fraction] | None = None, *, log_base: int | None = None) -> None:
        """Take the point."""
        self._point, self._log_base = dict(point or {}), log_base

    def __call__(self, tree: Tree) -> Value:
        """The value; `UndefinedError`, `TooLargeError` or `NoNumberError` where there is none."""
        try:
            value = self._value(tree)
        except (ZeroDivisionError, mpmath.libmp.libhyper.NoConvergence, ValueError) as error:
            raise UndefinedError(str(error)) from None
        except OverflowError as error:
            raise TooLargeError(str(error)) from None
        if not isinstance(value, Fraction) and not mpmath.isfinite(value):
            raise UndefinedError("no finite value")
        return value

    def _value(self, tree: Tree) -> Value:
        kind = tree[0]
        if kind == "num":
            return tree[1]
        if kind == "sym":
            return self._point[tree[1]]
        if kind == "const":
            return self._constant(tree[1])
        if kind == "add":
            total = self._value(tree[1])
            for term in tree[2:]:
                total = add(total, self._value(term))
            return total
        if kind == "neg":
            return -self._value(tree[1])
        if kind == "mul":
            return multiply(self._value(tree[1]), self._value(tree[2]))
        if kind == "div":
            return divide(self._value(tree[1]), self._value(tree[2]))
        if kind == "pow":
            return power(self._value(tree[1]), self._value(tree[2]))
        if kind == "deg":
            return multiply(self._value(tree[1]), mp.pi / 180)
        if kind == "percent":
            return multiply(self._value(tree[1]), Fraction(1, 100))
        if kind == "based":
            return Fraction(int(tree[1], tree[2]))
        if kind == "call":
            return self._call(tree[1], [self._value(argument) for argument in tree[2:]])
        if kind in ("sum", "prod"):
            return self._series(tree)
        raise NoNumberError(kind)

    @staticmethod
    def _constant(name: str) -> Value:
        if name == "inf":
            raise NoNumberError("infinity")
        return {"pi": lambda: +mp.pi, "e": lambda: +mp.e, "i": lambda: mpmath.mpc(0, 1)}[name]()

    def _series(self, tree: Tree) -> Value:
        _, symbol, low, high, body = tree
        if symbol[0] == "const":  # \sum_{i=1}: not the imaginary unit
            raise NoNumberError("the index is a constant")
        start, end = self._value(low), self._value(high)
        if not all(isinstance(bound, Fraction) and bound.denominator == 1 for bound in (start, end)):
            raise UndefinedError("bounds that are not whole")
        if end - start > _MOST_TERMS:
            raise TooLargeError("terms")
        total: Value = Fraction(0 if tree[0] == "sum" else 1)
        outer = self._point.get(symbol[1])
        for index in range(int(start), int(end) + 1):
            self._point[symbol[1]] = Fraction(index)
            term = self._value(body)
            total = add(total, term) if tree[0] == "sum" else multiply(total, term)
        if outer is not None:
            self._point[symbol[1]] = outer
        return total

    def _call(self, name: str, arguments: list[Value]) -> Value:
        if name.startswith("?"):  # a function that is not known: something that depends on its name and arguments alone
            seed = Fraction(sum(ord(character) * 31**place for place, character in enumerate(name)) % 9973, 997)
            total = as_real(seed)
            for place, argument in enumerate(arguments):
                total += mpmath.cos(as_real(argument) * (2 + place) + as_real(seed)) + as_real(argument) / (3 + place)
            return total
        if name in ("max", "min", "gcd", "lcm"):
            return of_many(name, arguments)
        if name == "log":
            base = None if self._log_base is None else Fraction(self._log_base)
            return logarithm(arguments[0], base)
        if name == "ln":
            return logarithm(arguments[0], None)
        if name == "logbase":
            return logarithm(arguments[0], arguments[1])
        return FUNCTIONS[name](*arguments) if name in FUNCTIONS else _unknown(name)


def _unknown(name: str) -> Value:
    raise NoNumberError(name)
