"""Letters and commands in expressions: symbols, words, constants, functions and their arguments, fractions, series."""

import re
from abc import ABC, abstractmethod
from fractions import Fraction

from sweep.tasks.maths.answers.cursor import Cursor, UnreadableError
from sweep.tasks.maths.answers.notation import FUNCTIONS
from sweep.tasks.maths.answers.numerals import Tree, number
from sweep.tasks.maths.answers.units import NUMBERS

_LETTERS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega"
    " Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar"
)
GREEK = frozenset(_LETTERS.split())
RUN = re.compile(r"[A-Za-z]+")
ACCENTS = {"vec", "overrightarrow", "overline", "hat", "widehat", "bar", "tilde", "underline", "dot"}
_INVERSE = {
    "sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc",
    "sinh": "arsinh", "cosh": "arcosh", "tanh": "artanh",
}  # fmt: skip
_UNINTERPRETED = frozenset("fghFGP")
"""Letters that name a function where a bracket follows; any other letter is a factor."""
_WORD = re.compile(r"[A-Z][a-z]{2,}|(?=.*[aeiou])[A-Za-z]?[a-z]{3,}")
"""Letters that are a word: a name, or four letters or more with a vowel among them."""
_WORDS = re.compile(r"[A-Za-z][A-Za-z '-]*")
_MINUS_ONE = ("neg", number(Fraction(1)))


class NameReader(Cursor, ABC):
    """Reads names; the expressions that are their arguments are read by `ExpressionReader` and `Reader`."""

    @abstractmethod
    def _sum(self) -> Tree: ...

    @abstractmethod
    def _term(self) -> Tree: ...

    @abstractmethod
    def _beside(self, left: Tree, right: Tree) -> Tree: ...

    @abstractmethod
    def _continues(self) -> bool: ...

    @abstractmethod
    def _factor(self, *, signed: bool = False) -> Tree: ...

    @abstractmethod
    def _postfix(self, tree: Tree) -> Tree: ...

    @abstractmethod
    def _raised(self) -> Tree: ...

    @abstractmethod
    def _argument(self) -> Tree: ...

    @abstractmethod
    def _primary(self) -> Tree: ...

    @abstractmethod
    def _bracketed(self, opening: str) -> Tree: ...

    @abstractmethod
    def _matrix(self) -> Tree: ...

    @abstractmethod
    def _angle_brackets(self) -> Tree: ...

    def _letters(self) -> Tree:
        run = RUN.match(self._text, self._at)
        assert run is not None
        word = run[0]
        if word in FUNCTIONS:
            self._at = run.end()
            return self._function(word)
        if word in ("pi", "infinity", "infty", "inf", "oo") or word in GREEK:
            self._at = run.end()
            return {"pi": ("const", "pi")}.get(word) or (("sym", word) if word in GREEK else ("const", "inf"))
        if _WORD.fullmatch(word) and (found := _WORDS.match(self._text, self._at)):
            self._at = found.end()
            return ("words", found[0].strip())
        self._at += 1
        return self._symbol(word[0])

    def _symbol(self, name: str) -> Tree:
        tree = letter(name)
        if self._text.startswith("_", self._at) or (self._text[self._at : self._at + 1] == " " and self._sees("_")):
            self._need("_")
            found = re.compile(r"\s*(?:\{([^{}]*)\}|(\\[A-Za-z]+|[0-9A-Za-z]+))").match(self._text, self._at)
            if found is None:
                raise UnreadableError("no subscript")
            self._at = found.end()
            inside = re.sub(r"\\text|[\s{}]", "", found[1] if found[1] is not None else found[2])
            name = f"{name}_{inside}"
            tree = ("sym", name)
        while self._text.startswith("'", self._at):
            self._at += 1
            name += "'"
            tree = ("sym", name)
        if name.rstrip("'")[0] in _UNINTERPRETED and len(name.partition("_")[0].rstrip("'")) == 1 and self._sees("("):
            arguments = self._bracketed("(")
            return ("call", f"?{name}", *(arguments[3:] if arguments[0] == "seq" else (arguments,)))
        return tree

    def _function(self, name: str) -> Tree:
        self._deeper()
        power: Tree | None = None
        base: Tree | None = None
        if name == "sqrt":
            degree = None
            if self._take("[") is not None:
                degree = self._sum()
                self._need("]")
            inside = self._bracketed("(") if self._sees("(") else self._argument()
            self._depth -= 1
            return ("call", "sqrt", inside) if degree is None else ("call", "root", inside, degree)
        for _ in range(2):
            if base is None and name in ("log", "max", "min") and self._take("_") is not None:
                found = re.compile(r"\s*([0-9]+)").match(self._text, self._at)
                if found and not re.match(r"[0-9]{2,}(?:\s*$|\s*[)\]}])", found[1]):
                    self._at += len(found[0]) - len(found[1]) + 1
                    base = number(Fraction(int(found[1][0])))
                else:
                    base = self._argument()
            elif power is None and self._take("^") is not None:
                power = self._raised()
        if self._sees("(", "[", r"\{") and name in ("gcd", "lcm", "max", "min"):
            inside = self._bracketed(self._sees("(", "[", r"\{") or "(")
            arguments = inside[3:] if inside[0] == "seq" else (inside,)
        elif self._sees("("):
            inside = self._postfix(self._bracketed("(")) if name not in ("exp",) else self._bracketed("(")
            arguments = (inside,)
        else:
            arguments = (self._bare_argument(),)
        if name in ("log", "lg") and base is not None:
            tree: Tree = ("call", "logbase", *arguments, base)
        elif name == "lg":
            tree = ("call", "logbase", *arguments, number(Fraction(10)))
        elif power is not None and name in _INVERSE and power == _MINUS_ONE:
            tree, power = ("call", _INVERSE[name], *arguments), None
        else:
            tree = ("call", name, *arguments)
        self._depth -= 1
        return tree if power is None else ("pow", tree, power)

    def _bare_argument(self) -> Tree:
        r"""The argument of a function without brackets: factors side by side, up to the next function or bracket."""
        tree = self._factor(signed=True)
        while self._continues():
            command, run = self._command(), RUN.match(self._text, self._at)
            if self._peek() in "([|" or (command or (run and run[0])) in FUNCTIONS:
                break
            tree = self._beside(tree, self._factor())
        return tree

    def _of_command(self) -> Tree:
        if self._sees(r"\{"):
            return self._bracketed(r"\{")
        start = self._at
        name = self._take_command()
        if name == "frac":
            over, under = self._argument(), self._argument()
            return ("div", over, under)
        if name == "binom":
            return ("call", "binom", self._argument(), self._argument())
        if name == "pi":
            return ("const", "pi")
        if name == "infty":
            return ("const", "inf")
        if name in ("emptyset", "reals", "integers", "naturals", "rationals", "complexes"):
            return ("special", "empty" if name == "emptyset" else name)
        if name in FUNCTIONS:
            return self._function(name)
        if name in ("lfloor", "lceil"):
            inside = self._sum()
            self._need({"lfloor": r"\rfloor", "lceil": r"\rceil"}[name])
            self._take(" ")
            return ("call", "floor" if name == "lfloor" else "ceil", inside)
        if name in ("sum", "prod"):
            return self._series(name)
        if name == "begin":
            return self._matrix()
        if name == "langle":
            return self._angle_brackets()
        if name == "text":
            found = re.compile(r"\{([^{}]*)\}").match(self._text, self._at)
            if found is None:
                raise UnreadableError("text without braces")
            self._at = found.end()
            word = found[1].strip()
            if word.lower() in NUMBERS:
                return number(Fraction(NUMBERS[word.lower()]))
            return ("words", word)
        if name in GREEK:
            return self._symbol(name)
        if name in ACCENTS or name in ("angle", "triangle"):
            found = re.compile(r"\s*(?:\{\s*([A-Za-z0-9']+)\s*\}|([A-Za-z]+))").match(self._text, self._at)
            if found is None:
                raise UnreadableError(f"{name} of something")
            self._at = found.end()
            return ("sym", f"{name} {found[1] or found[2]}")
        self._at = start
        raise UnreadableError(f"\\{name} is not known")

    def _series(self, name: str) -> Tree:
        self._need("_")
        self._need("{")
        symbol = self._primary()
        self._need("=")
        low = self._sum()
        self._need("}")
        self._need("^")
        high = self._raised()
        return (name, symbol, low, high, self._term())


def letter(name: str) -> Tree:
    """A symbol, or one of the constants e and i."""
    return ("const", name) if name in ("e", "i") else ("sym", name)
