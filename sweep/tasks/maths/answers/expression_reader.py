r"""Expressions, by recursive descent: sums, products with and without a sign, powers, functions, fractions, roots.

The trees are listed in `sweep.tasks.maths.answers.reader`.
"""

import re
from fractions import Fraction

from sweep.tasks.maths.answers.cursor import Cursor, UnreadableError
from sweep.tasks.maths.answers.notation import FUNCTIONS
from sweep.tasks.maths.answers.numerals import MOST_DIGITS, Tree, number, read_number
from sweep.tasks.maths.answers.units import MULTIPLIERS, NUMBERS, is_unit_word

_LETTERS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega"
    " Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar"
)
GREEK = frozenset(_LETTERS.split())
RUN = re.compile(r"[A-Za-z]+")
MODULUS = re.compile(r"\(?\s*(?:\\(?:pmod|mod|bmod)|\\text\{\s*mod(?:ulo)?\s*\}|(?<![A-Za-z])mod(?![A-Za-z]))")
_ACCENTS = {"vec", "overrightarrow", "overline", "hat", "widehat", "bar", "tilde", "underline", "dot"}
_INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc",
            "sinh": "arsinh", "cosh": "arcosh", "tanh": "artanh"}  # fmt: skip
_UNINTERPRETED = frozenset("fghFGP")
"""Letters that name a function where a bracket follows; any other letter is a factor."""
_BEFORE_FACTOR = frozenset(
    {"frac", "sqrt", "binom", "pi", "infty", "lfloor", "lceil", "sum", "prod", "begin", "langle", "angle"}
)
_ORDINAL = re.compile(r"\s*\{?\s*\\text\{\s*(?:th|st|nd|rd)\s*\}\s*\}?")
_OVER = re.compile(r"\s*/\s*([0-9]{1,32})")
_WORD = re.compile(r"[A-Z][a-z]{2,}|(?=.*[aeiou])[A-Za-z]?[a-z]{3,}")
"""Letters that are a word: a name, or four letters or more with a vowel among them."""
_WORDS = re.compile(r"[A-Za-z][A-Za-z '-]*")
_MINUS_ONE = ("neg", number(Fraction(1)))


class ExpressionReader(Cursor):
    """Reads expressions; what stands between brackets, and matrices, are read by `Reader`."""

    def _bracketed(self, opening: str) -> Tree:
        raise NotImplementedError

    def _matrix(self) -> Tree:
        raise NotImplementedError

    def _angle_brackets(self) -> Tree:
        raise NotImplementedError

    def _sum(self) -> Tree:
        self._deeper()
        terms = [self._signed_term(first=True)]
        while self._sees("+", "-", r"\pm ", r"\mp "):
            terms.append(self._signed_term(first=False))
        self._depth -= 1
        return terms[0] if len(terms) == 1 else ("add", *terms)

    def _signed_term(self, *, first: bool) -> Tree:
        negative, choice = False, None
        for _ in range(3):
            if (sign := self._take("+", "-", r"\pm ", r"\mp ")) is None:
                break
            negative ^= sign == "-"
            if sign.startswith("\\"):
                choice = ("pm", 1 if sign.startswith(r"\pm") else -1)
        else:
            raise UnreadableError("signs in a row")
        tree = self._term()
        if choice is not None:
            tree = ("mul", choice, tree)
        return ("neg", tree) if negative else tree

    def _term(self) -> Tree:
        tree = self._factor()
        while True:
            if (operator := self._take("*", "/")) is not None:
                right = self._factor(signed=True)
                tree = ("div" if operator == "/" else "mul", tree, right)
            elif (self._sees(r"\bmod", r"\mod")) is not None:
                self._take_command()
                tree = ("call", "mod", tree, self._factor())
            elif self._continues():
                right = self._factor()
                tree = self._beside(tree, right)
            else:
                return tree

    def _beside(self, left: Tree, right: Tree) -> Tree:
        """Two factors without an operator: a product, or a mixed number."""
        whole = left[0] == "num" and left[2] is None and left[1].denominator == 1
        if whole and right[0] in ("percent", "deg") and _proper(right[1]):
            return (right[0], ("add", left, right[1]))
        if whole and _proper(right):
            return ("add", left, right)
        if right[0] == "num":
            found = _OVER.match(self._text, self._at)
            if found and whole and right[1].denominator == 1 and 0 < right[1] < int(found[1]):
                self._at = found.end()
                return ("add", left, ("div", right, number(Fraction(int(found[1])))))
            raise UnreadableError("two numbers side by side")
        if right[0] in ("seq", "list"):
            raise UnreadableError("a list as a factor")
        return ("mul", left, right)

    def _continues(self) -> bool:
        """Whether a factor follows that is multiplied without an operator."""
        character = self._peek()
        if not character:
            return False
        if character.isascii() and character.isalpha():
            run = RUN.match(self._text, self._at)
            assert run is not None
            word = run[0]
            if word in FUNCTIONS or word in ("pi", "theta") or word in GREEK:
                return True
            if is_unit_word(word) or word in MULTIPLIERS or word == "mod":
                return False
            before = self._text[self._at - 1 : self._at]
            return not (
                len(word) >= 3 and before in (" ", "\u2009") and re.search("[aeiouy]", word[1:] + word[0].lower())
            )
        if character in "([{":
            return not (character == "[" and self._turned) and not MODULUS.match(self._text, self._at)
        if character == "|":
            return not self._bars
        if character.isdigit() or character == ".":
            return True
        command = self._command()
        return command is not None and (
            command in GREEK or command in FUNCTIONS or command in _ACCENTS or command in _BEFORE_FACTOR
        )

    def _factor(self, *, signed: bool = False) -> Tree:
        self._deeper()
        if signed and (sign := self._take("-", "+")) is not None:
            tree = self._factor(signed=True)
            self._depth -= 1
            return ("neg", tree) if sign == "-" else tree
        tree = self._postfix(self._primary())
        self._depth -= 1
        return tree

    def _postfix(self, tree: Tree) -> Tree:
        while True:
            if self._take("^") is not None:
                if found := _ORDINAL.match(self._text, self._at):
                    self._at = found.end()
                    continue
                exponent = self._raised()
                tree = ("pow", tree, exponent)
            elif self._sees("!") and not self._sees("!="):
                self._take("!")
                if self._sees("!"):
                    raise UnreadableError("a double factorial")
                tree = ("call", "factorial", tree)
            elif self._take(r"\degree ", r"\degree") is not None:
                tree = ("deg", tree)
            elif self._take(r"\percent ", r"\percent") is not None:
                tree = ("percent", tree)
            else:
                return tree

    def _raised(self) -> Tree:
        """An exponent: braces, a signed number in full, or one factor."""
        if self._sees("{"):
            return self._braced()
        negative = self._take("-") is not None
        self._peek()
        if found := re.compile(r"[0-9]+").match(self._text, self._at):
            self._at = found.end()
            if len(found[0]) > MOST_DIGITS:
                raise UnreadableError("too many digits")
            tree = number(Fraction(int(found[0])))
        else:
            tree = self._primary()
        return ("neg", tree) if negative else tree

    def _braced(self) -> Tree:
        self._need("{")
        self._deeper()
        outer, self._bars = self._bars, 0
        tree = self._sum()
        self._bars = outer
        if self._sees(r"\choose"):
            self._take_command()
            tree = ("call", "binom", tree, self._sum())
        self._need("}")
        self._depth -= 1
        return tree

    def _argument(self) -> Tree:
        r"""What TeX takes for an argument: braces, a command with its own, or one character."""
        if self._sees("{"):
            return self._braced()
        character = self._peek()
        if character.isdigit():
            self._at += 1
            return number(Fraction(int(character)))
        if character and character.isascii() and character.isalpha():
            self._at += 1
            return _letter(character)
        if character == "\\":
            return self._primary()
        raise UnreadableError("an argument is missing")

    def _primary(self) -> Tree:
        character = self._peek()
        if not character:
            raise UnreadableError("something is missing")
        if character.isdigit() or character == ".":
            return self._number()
        if character in "([{" or (character == "]" and not self._brackets):
            return self._bracketed(character)
        if character == "|":
            self._at += 1
            self._bars += 1
            tree = self._sum()
            self._need("|")
            self._bars -= 1
            return ("call", "abs", tree)
        if character.isascii() and character.isalpha():
            return self._letters()
        if character == "\\":
            return self._of_command()
        raise UnreadableError(f"{character} is not known")

    def _number(self) -> Tree:
        found = read_number(self._text, self._at, grouped=not self._brackets)
        if found is None:
            raise UnreadableError("no number")
        tree, end = found
        if end - self._at > MOST_DIGITS:
            raise UnreadableError("too many digits")
        self._at = end
        return tree

    def _letters(self) -> Tree:
        run = RUN.match(self._text, self._at)
        assert run is not None
        word = run[0]
        if word in FUNCTIONS:
            self._at = run.end()
            return self._function(word)
        if word in ("pi", "infinity", "inf", "oo") or word in GREEK:
            self._at = run.end()
            return {"pi": ("const", "pi")}.get(word) or (("sym", word) if word in GREEK else ("const", "inf"))
        if _WORD.fullmatch(word) and (found := _WORDS.match(self._text, self._at)):
            self._at = found.end()
            return ("words", found[0].strip())
        self._at += 1
        return self._symbol(word[0])

    def _symbol(self, name: str) -> Tree:
        tree = _letter(name)
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
        if name in _ACCENTS or name in ("angle", "triangle"):
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


def _letter(name: str) -> Tree:
    return ("const", name) if name in ("e", "i") else ("sym", name)


def _proper(tree: Tree) -> bool:
    """Whether it is a fraction of two whole numbers, the first smaller, as in a mixed number."""
    if tree[0] != "div" or any(part[0] != "num" or part[2] is not None for part in tree[1:]):
        return False
    return bool(0 < tree[1][1] < tree[2][1])
