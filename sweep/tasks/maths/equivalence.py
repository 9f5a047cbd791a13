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

# The forms that answers take, for a grading process to see before it grades. Whoever is forked from it then has sympy's
# modules ready, and what the LaTeX parser has learnt: it works out its decisions for each construct when it first meets
# it, which takes longer than everything else.
_PAIRS = (
    # A right answer and another, for comparing.
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
_FORMS = (
    # For reading alone.
    r"\dfrac{7}{12}",
    r"-\frac{11}{3}",
    r"\frac{3\sqrt{5}}{2}",
    r"2\sqrt{2}+3",
    r"\frac{1+\sqrt{7}}{3}",
    r"\sqrt[3]{4}",
    r"5^{12}",
    r"2^{n+1}-1",
    r"12\%",
    r"45^\circ",
    r"\$18.50",
    r"1{,}250",
    r"3.75",
    r"\pi r^2",
    r"16\pi",
    r"\frac{2\pi}{3}",
    r"a^3-3ab+b^2",
    r"x^4+2x^3-5x+6",
    r"(x-2)(x+3)",
    r"y=-\frac{1}{2}x+4",
    r"x=3",
    r"x\ge 4",
    r"0<x\le 5",
    r"x\neq 2",
    r"(-4,7]",
    r"[0,\infty)",
    r"(1,-2,5)",
    r"\left(\frac{1}{2},-3\right)",
    r"\{1,3,5\}",
    r"\{-2\}\cup[4,6)",
    r"\begin{pmatrix}2&-1\\0&4\end{pmatrix}",
    r"\begin{pmatrix}1\\-2\\3\end{pmatrix}",
    r"\pm 3",
    r"1\pm\sqrt{3}",
    r"4+5i",
    r"\cos 20^\circ",
    r"\sin x",
    r"\log_2 9",
    r"\ln 3",
    r"e^{2x}",
    r"|x-1|",
    r"\binom{8}{3}",
    r"7!",
    r"\text{odd}",
    r"\text{(B)}",
    r"\mathrm{north}",
    r"10\text{ cm}",
    r"30\text{ degrees}",
    r"\lfloor 3.5\rfloor",
    r"x_1+x_2",
    r"\frac{x+1}{x-2}",
    r"f(x)=2x",
    r"12_7",
    r"1,2,6",
    r"\emptyset",
    r"-\infty",
    r"3:4",
    r"2\cdot 5",
    r"6\times 10^4",
    r"0.\overline{3}",
    r"\frac{\sqrt{3}}{6}\pi",
    r"1\frac{3}{4}",
)
_NOT_EVALUATED = (UnevaluatedExpr, Integral, Sum, Product, Limit, Derivative)


def warm_up() -> None:
    """Read and compare a few answers, for everything that sympy and math-verify load or learn when first used."""
    for form in _FORMS:
        _read(form)
    for truth, answer in _PAIRS:
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
