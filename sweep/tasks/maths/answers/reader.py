r"""Read a cleaned answer: recursive descent over LaTeX's and plain text's notations, in time linear in its length.

What is read is a tree of tuples, the kind first. Expressions are

    ("num", value, significant digits, decimal places), ("sym", name), ("const", "pi" | "e" | "i" | "inf"),
    ("add", *terms), ("neg", a), ("mul", a, b), ("div", a, b), ("pow", a, b), ("call", name, *arguments),
    ("deg", a), ("percent", a), ("pm", sign), ("based", digits, base), ("sum" | "prod", symbol, low, high, body)

where ``pm`` is a factor that is 1 or -1, and what has expressions in it

    ("seq", opening, closing, *items), ("list", separator, *items), ("union", *sets), ("minus", set, set),
    ("meet", *sets),
    ("relation", first, operator, second, ...), ("matrix", row, ...), ("ratio", *parts), ("mod", a, modulus),
    ("quantity", a, unit), ("words", text), ("special", name)
"""

import re
from fractions import Fraction

from sweep.tasks.maths.answers.cursor import UnreadableError
from sweep.tasks.maths.answers.expression_reader import MODULUS, ExpressionReader
from sweep.tasks.maths.answers.name_reader import RUN
from sweep.tasks.maths.answers.numerals import Tree, number
from sweep.tasks.maths.answers.units import CURRENCIES, MULTIPLIERS, Dimensions, read_unit, unwrapped

_RELATIONS = {
    "=": "=", "<": "<", ">": ">", r"\le ": "<=", r"\ge ": ">=", r"\ne ": "!=", r"\approx ": "~", r"\in ": "in",
    r"\equiv ": "=",
}  # fmt: skip
_CLOSING = {"(": ")", "[": "]"}
_TIME = re.compile(
    r"([0-9]{1,2}(?::[0-9]{2}){0,2})\s*(?:\\text\{)?\s*([ap])\.?\s*m(?![A-Za-z])\.?\s*\}?", re.IGNORECASE
)
_UNIT = re.compile(r"(?:\\text\{[^{}]*\}|\^\s*\{\s*-?[0-9]\s*\}|\^-?[0-9]|[A-Za-z'/*. \u2009-])+(?:\([A-Za-z ]*\))?")
_MONEY = (r"\dollar ", r"\euro ", r"\pound ", r"\dollar", r"\euro", r"\pound")
_NEGATIVE_MONEY = re.compile(r"-\s*\\(?:dollar|euro|pound)\b")
_MATRIX = re.compile(r"\{([pb]matrix|matrix|array|smallmatrix)\}\s*(?:\{[lcr| ]*\})?")


class Reader(ExpressionReader):
    """Reads one cleaned answer whole."""

    def answer(self) -> Tree:
        """The whole answer; `UnreadableError` where something is left over."""
        tree = self._listing()
        if self._peek():
            raise UnreadableError(self._text[self._at :])
        return tree

    def _listing(self) -> Tree:
        items, separators = [self._item()], set()
        while (separator := self._take(",", ";", r"\and ", r"\or ")) is not None:
            separators.add({r"\and ": "and", r"\or ": "or"}.get(separator, ","))
            if not self._peek() or self._sees(")", "]", r"\}"):
                raise UnreadableError("nothing follows a separator")
            items.append(self._item())
        if len(items) == 1:
            return items[0]
        return ("list", separators.pop() if len(separators) == 1 else ",", *items)

    def _item(self) -> Tree:
        parts: list[object] = [self._side()]
        while (relation := self._sees(*_RELATIONS)) is not None:
            if relation == ">" and self._brackets and self._text[self._at - 1 : self._at] == "\\":
                break
            self._take(relation)
            parts += [_RELATIONS[relation], self._side()]
        return parts[0] if len(parts) == 1 else ("relation", *parts)  # type: ignore[return-value]

    def _side(self) -> Tree:
        self._peek()
        if found := _TIME.match(self._text, self._at):
            self._at = found.end()
            parts = [number(Fraction(int(part))) for part in found[1].split(":")]
            return ("ratio", found[2].lower(), *parts, *([number(Fraction(0))] if len(parts) == 1 else []))
        tree = self._quantity()
        while (operator := self._take(r"\cup ", r"\cap ", r"\setminus ")) is not None:
            kind = {r"\cup ": "union", r"\cap ": "meet", r"\setminus ": "minus"}[operator]
            tree = (kind, tree, self._quantity())
        if not self._sees(":"):
            return tree
        parts = [tree]
        while self._take(":") is not None:
            parts.append(self._sum())
        return ("ratio", "", *parts)

    def _quantity(self) -> Tree:
        money = self._take(*_MONEY)
        negative = money is None and _NEGATIVE_MONEY.match(self._text, self._at)
        if negative:
            self._take("-")
            money = self._take(*_MONEY)
        tree = self._sum()
        tree = ("neg", tree) if negative else tree
        money = money or self._take(*_MONEY)
        phrase = self._unit_text()
        if phrase or money:
            tree = with_unit(tree, phrase, CURRENCIES[money.strip()] if money else ())
        if found := MODULUS.match(self._text, self._at):
            self._at = found.end()
            braced = self._take("{")
            tree = ("mod", tree, self._sum())
            if braced:
                self._need("}")
            if found[0].startswith("("):
                self._need(")")
        return tree

    def _unit_text(self) -> str:
        """Words up to the end of the item, taken; "" where none follow."""
        self._peek()
        if not (self._sees(r"\text{") or RUN.match(self._text, self._at)) or MODULUS.match(self._text, self._at):
            return ""
        found = _UNIT.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]

    def _bracketed(self, opening: str) -> Tree:
        self._deeper()
        self._at += len(opening)
        outer = self._bars, self._brackets
        self._bars = 0
        self._turned = opening == "]"
        if opening == "{":  # TeX's grouping, with nothing printed
            self._at -= 1
            tree = self._braced()
            self._bars, self._brackets = outer
            self._depth -= 1
            return tree
        self._brackets += 1
        if opening == r"\{" and self._take(r"\}") is not None:
            self._bars, self._brackets = outer
            self._depth -= 1
            return ("special", "empty")
        tree = self._listing()
        closing = self._take(")", "]", r"\}", r"\rangle ", r"\rangle", "[" if opening == "]" else ")")
        self._bars, self._brackets = outer
        self._depth -= 1
        if closing is None:
            raise UnreadableError("a bracket is open")
        closing = closing.strip()
        items = tree[2:] if tree[0] == "list" else (tree,)
        if opening == "]" or closing == "[":  # ]a, b[ is how some write (a, b)
            opening, closing = "(" if opening == "]" else opening, ")" if closing == "[" else closing
        if opening == r"\{":
            if closing != r"\}":
                raise UnreadableError("a brace is open")
            return ("seq", "{", "}", *items)
        if closing not in (")", "]"):
            raise UnreadableError("brackets do not match")
        if len(items) == 1:
            if _CLOSING[opening] != closing:
                raise UnreadableError("brackets do not match")
            return tree
        return ("seq", opening, closing, *items)

    def _angle_brackets(self) -> Tree:
        self._brackets += 1
        tree = self._listing()
        if self._take(r"\rangle ", r"\rangle") is None:
            raise UnreadableError("a bracket is open")
        self._brackets -= 1
        return ("seq", "(", ")", *(tree[2:] if tree[0] == "list" else (tree,)))

    def _matrix(self) -> Tree:
        found = _MATRIX.match(self._text, self._at)
        if found is None:
            raise UnreadableError("an environment that is not known")
        self._at = found.end()
        outer, self._brackets = self._brackets, self._brackets + 1
        rows: list[tuple[Tree, ...]] = []
        row = [self._sum()]
        while True:
            if self._take("&") is not None:
                row.append(self._sum())
            elif self._take("\u21b5", r"\cr") is not None:
                rows.append(tuple(row))
                if self._sees(r"\end"):
                    break
                row = [self._sum()]
            elif self._sees(r"\end"):
                rows.append(tuple(row))
                break
            else:
                raise UnreadableError("a matrix without an end")
        self._take(r"\end")
        self._need("{" + found[1] + "}")
        self._brackets = outer
        if len({len(row) for row in rows}) != 1:
            raise UnreadableError("a matrix with rows of several lengths")
        return ("matrix", *rows)


def with_unit(tree: Tree, phrase: str, money: Dimensions) -> Tree:
    """A number with the words behind it: multiplied, as a percentage or an angle, or with a unit."""
    words = unwrapped(phrase).split()
    while words and words[0] in MULTIPLIERS:
        tree = ("mul", tree, number(Fraction(MULTIPLIERS[words.pop(0)])))
    first = words[0].removesuffix("s") if words else ""
    scale = words[-1][0].upper() if words and words[-1].lower() in ("c", "f", "celsius", "fahrenheit") else ""
    if scale and (tree[0] == "deg" or first == "degree"):
        return ("quantity", tree[1] if tree[0] == "deg" else tree, (((f"degree {scale}", 1),), Fraction(1)))
    first = "degree" if first == "deg" else first
    if first in ("percent", "degree"):
        tree, words = ("percent" if first == "percent" else "deg", tree), words[1:]
    elif first == "radian" or words == ["rad"]:
        words = words[1:]
    if (found := read_unit(" ".join(words))) is None:
        raise UnreadableError(f"{phrase.strip()} is no unit")
    dimensions, factor = found
    if money and dimensions and dimensions != money:
        raise UnreadableError("two currencies")
    dimensions = dimensions or money
    return ("quantity", tree, (dimensions, factor)) if dimensions else tree
