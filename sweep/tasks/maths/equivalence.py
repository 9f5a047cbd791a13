r"""Whether two answers are the same mathematics, by math-verify. Unbounded in time and memory: see `grading_process`.

Both answers are given to math-verify inside ``\boxed{}``, so both are read by the same rules. Its own time limits are
switched off: they are signals that Python handles between two of its instructions, and one product of huge integers is
one instruction.
"""

from functools import lru_cache
from typing import Any

from math_verify import parse, verify

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
    read = _read(answer)
    correct = verify(_truth(truth), read, timeout_seconds=None)
    return bool(correct), any(not isinstance(expression, str) for expression in read)


@lru_cache(maxsize=1024)
def _truth(text: str) -> list[Any]:
    # A problem is answered many times over, and reading LaTeX is most of the cost.
    return _read(text)


def _read(text: str) -> list[Any]:
    return list(parse(f"\\boxed{{{text}}}", parsing_timeout=None))
