"""What was read, written in one plain notation, for a person to check."""

from sweep.tasks.maths.answers.numerals import Tree

_OPERATORS = {"union": " U ", "meet": " & ", "minus": r" \ "}
_CONSTANTS = {"pi": "pi", "e": "e", "i": "i", "inf": "infinity"}


def show(tree: Tree) -> str:
    """A tree as text: fractions with a slash, sets in braces, products with a star.

    >>> show(("div", ("num", 1, None, None), ("sym", "x")))
    '1/x'
    """
    kind, parts = tree[0], tree[1:]
    if kind == "num":
        return str(parts[0])
    if kind in ("sym", "words", "choice", "special"):
        return str(parts[0])
    if kind == "const":
        return _CONSTANTS[parts[0]]
    if kind == "add":
        return " + ".join(map(show, parts)).replace("+ -", "- ")
    if kind == "neg":
        return f"-{_tight(parts[0])}"
    if kind in ("mul", "div", "pow"):
        return {"mul": "*", "div": "/", "pow": "^"}[kind].join(map(_tight, parts))
    if kind == "call":
        return f"{parts[0].removeprefix('?')}({', '.join(map(show, parts[1:]))})"
    if kind in ("deg", "percent"):
        return f"{_tight(parts[0])}{' degrees' if kind == 'deg' else '%'}"
    if kind == "pm":
        return "(+-1)" if parts[0] > 0 else "(-+1)"
    if kind == "based":
        return f"{parts[0]} in base {parts[1]}"
    if kind in ("sum", "prod"):
        return f"{kind}({show(parts[3])}, {show(parts[0])} = {show(parts[1])}..{show(parts[2])})"
    if kind == "seq":
        return f"{parts[0]}{', '.join(map(show, parts[2:]))}{parts[1]}"
    if kind == "list":
        return {",": ", ", "and": " and ", "or": " or "}[parts[0]].join(map(show, parts[1:]))
    if kind in _OPERATORS:
        return _OPERATORS[kind].join(map(show, parts))
    if kind == "relation":
        return " ".join(part if isinstance(part, str) else show(part) for part in parts)
    if kind == "matrix":
        return "[" + "; ".join(", ".join(map(show, row)) for row in parts) + "]"
    if kind == "ratio":
        return ":".join(map(show, parts[1:])) + (f" {parts[0]}m" if parts[0] else "")
    if kind == "mod":
        return f"{show(parts[0])} mod {show(parts[1])}"
    unit = " ".join(
        f"{name.removeprefix('?')}^{power}" if power != 1 else name.removeprefix("?") for name, power in parts[1][0]
    )
    scale = "" if parts[1][1] == 1 else f"*{parts[1][1]}"
    return f"{show(parts[0])}{scale} [{unit}]"


def _tight(tree: Tree) -> str:
    text = show(tree)
    return f"({text})" if tree[0] in ("add", "neg", "mul", "div", "pow") else text
