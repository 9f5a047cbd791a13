r"""Whether two answers are the same mathematics, by math-verify. Unbounded in time and memory: see `grading_process`.

Both answers are given to math-verify inside ``\boxed{}``, so both are read by the same rules. Its own time limits are
switched off: they are signals that Python handles between two of its instructions, and one product of huge integers is
one instruction.
"""

from functools import lru_cache
from math import isfinite
from typing import Any

from math_verify import parse, verify
from sympy import (
    Derivative,
    Expr,
    Integral,
    Interval,
    Limit,
    Number,
    Product,
    Rational,
    Sum,
    Symbol,
    Tuple,
    UnevaluatedExpr,
)

from sweep.tasks.maths.answer_forms import FORMS, PAIRS

_NOT_EVALUATED = (UnevaluatedExpr, Integral, Sum, Product, Limit, Derivative)


def warm_up() -> None:
    """Read and compare a few answers, for everything that sympy and math-verify load or learn when first used."""
    for form in FORMS:
        _read(form)
    for truth, answer in PAIRS:
        compare(answer, truth)


def compare(answer: str, truth: str) -> tuple[bool, bool]:
    """Whether ``answer`` is right, and whether it could be read as mathematics.

    Not symmetric: an equation ``x = 5`` is right where ``5`` was asked for.
    """
    read, right = _read(answer), _truth(truth)
    legible = any(not isinstance(expression, str) for expression in read)
    if read and right and _clearly_different(read[0], right[0]):
        return False, legible
    return bool(verify(right, read, timeout_seconds=None)), legible


def _clearly_different(answer: Any, truth: Any) -> bool:
    """Whether both are expressions whose values differ, at one point, by far more than math-verify's tolerance of 1e-6.

    math-verify would go on to simplify their difference, which for two unequal expressions takes most of the time of
    all grading. A number and an interval, or several numbers, differ as well.
    """
    for one, other in ((answer, truth), (truth, answer)):
        if isinstance(one, Number) and (isinstance(other, Interval) or (isinstance(other, Tuple) and len(other) != 1)):
            return True
    for expression in (answer, truth):
        # Words are symbols or products of them, and percentages unevaluated: both are compared as they are written.
        if not isinstance(expression, Expr) or isinstance(expression, Symbol) or expression.has(*_NOT_EVALUATED):
            return False
    unknown = sorted(answer.free_symbols | truth.free_symbols, key=str)
    point = {symbol: Rational(731 + 97 * place, 1009) for place, symbol in enumerate(unknown)}
    try:
        values = [complex(expression.subs(point).evalf(15)) for expression in (answer, truth)]
    except TypeError:  # no value, or none that is known
        return False
    return isfinite(abs(values[0])) and abs(values[0] - values[1]) > 1e-4 * (1 + abs(values[1]))


@lru_cache(maxsize=1024)
def _truth(text: str) -> list[Any]:
    # A problem is answered many times over, and reading LaTeX is most of the cost.
    return _read(text)


def _read(text: str) -> list[Any]:
    return list(parse(f"\\boxed{{{text}}}", parsing_timeout=None))
