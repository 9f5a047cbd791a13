r"""Whether two answers are the same mathematics, by math-verify. Unbounded in time and memory: see `grading_process`.

Both answers are given to math-verify inside ``\boxed{}``, so both are read by the same rules. Its own time limits are
switched off: they are signals that Python handles between two of its instructions, and one product of huge integers is
one instruction.
"""

from functools import lru_cache
from math import isfinite
from typing import Any

from math_verify import parse, verify
from sympy import Expr, UnevaluatedExpr

# One of each kind of answer in MATH-500, so that whoever is forked from here has sympy's modules and caches ready.
_WARMING = (
    (r"\frac{1}{2}", "0.5"),
    (r"x^2+2x+1", "(x+1)^2"),
    (r"\left(3,\frac{\pi}{2}\right)", r"(3,\pi)"),
    ("1,2,3", "3,2,1"),
    (r"(-\infty,2)\cup(3,\infty)", "x<2"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}"),
    (r"\text{Evelyn}", "Evelyn"),
    (r"3\sqrt{13}", r"\sqrt{117}"),
    (r"6-5i", "6+5i"),
    ("y=2x+3", "2x-y+3=0"),
)


def warm_up() -> None:
    """Compare a few answers, for everything that sympy and math-verify load when first used."""
    for truth, answer in _WARMING:
        compare(answer, truth)


def compare(answer: str, truth: str) -> tuple[bool, bool]:
    """Whether ``answer`` is right, and whether it could be read as mathematics.

    Not symmetric: an equation ``x = 5`` is right where ``5`` was asked for.
    """
    read, right = _read(answer), _truth(truth)
    legible = any(not isinstance(expression, str) for expression in read)
    if read and right and _different_numbers(read[0], right[0]):
        return False, legible
    return bool(verify(right, read, timeout_seconds=None)), legible


def _different_numbers(answer: Any, truth: Any) -> bool:
    """Whether both are numbers that differ by far more than any tolerance of math-verify, which is 1e-6.

    math-verify would go on to simplify their difference, which for two unequal roots or logarithms takes most of the
    time of all grading.
    """
    for number in (answer, truth):
        # Percentages are unevaluated, and are compared as they are written.
        if not isinstance(number, Expr) or number.free_symbols or number.has(UnevaluatedExpr):
            return False
    try:
        values = [complex(number.evalf(15)) for number in (answer, truth)]
    except TypeError:  # an undefined or an unevaluated number
        return False
    return isfinite(abs(values[0])) and abs(values[0] - values[1]) > 1e-4 * (1 + abs(values[1]))


@lru_cache(maxsize=1024)
def _truth(text: str) -> list[Any]:
    # A problem is answered many times over, and reading LaTeX is most of the cost.
    return _read(text)


def _read(text: str) -> list[Any]:
    return list(parse(f"\\boxed{{{text}}}", parsing_timeout=None))
