r"""Expressions, by recursive descent: sums, products with and without a sign, powers, what stands in braces.

The trees are listed in `sweep.tasks.maths.answers.reader`.
"""

import re
from fractions import Fraction

from sweep.tasks.maths.answers.cursor import UnreadableError
from sweep.tasks.maths.answers.name_reader import ACCENTS, GREEK, RUN, NameReader, letter
from sweep.tasks.maths.answers.notation import FUNCTIONS
from sweep.tasks.maths.answers.numerals import MOST_DIGITS, Tree, number, read_number
from sweep.tasks.maths.answers.units import MULTIPLIERS, is_unit_word

MODULUS = re.compile(r"\(?\s*(?:\\(?:pmod|mod|bmod)|\\text\{\s*mod(?:ulo)?\s*\}|(?<![A-Za-z])mod(?![A-Za-z]))")
_BEFORE_FACTOR = frozenset(
    {"frac", "sqrt", "binom", "pi", "infty", "lfloor", "lceil", "sum", "prod", "begin", "langle", "angle"}
)
_ORDINAL = re.compile(r"\s*\{?\s*\\text\{\s*(?:th|st|nd|rd)\s*\}\s*\}?")
_OVER = re.compile(r"\s*/\s*([0-9]{1,32})")


class ExpressionReader(NameReader):
    """Reads expressions; what stands between brackets, and matrices, are read by `Reader`."""

    def _sum(self) -> Tree:
        self._deeper()
        terms = [self._signed_term()]
        while self._sees("+", "-", r"\pm ", r"\mp "):
            terms.append(self._signed_term())
        self._depth -= 1
        return terms[0] if len(terms) == 1 else ("add", *terms)

    def _signed_term(self) -> Tree:
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
            command in GREEK or command in FUNCTIONS or command in ACCENTS or command in _BEFORE_FACTOR
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
            return letter(character)
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


def _proper(tree: Tree) -> bool:
    """Whether it is a fraction of two whole numbers, the first smaller, as in a mixed number."""
    if tree[0] != "div" or any(part[0] != "num" or part[2] is not None for part in tree[1:]):
        return False
    return bool(0 < tree[1][1] < tree[2][1])
