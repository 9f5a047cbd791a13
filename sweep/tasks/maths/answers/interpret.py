"""From a cleaned answer to the tree of what it says: words, choices of a list, and all that `Reader` reads."""

import re
from fractions import Fraction
from functools import lru_cache

from sweep.tasks.maths.answers.cursor import UnreadableError
from sweep.tasks.maths.answers.notation import FUNCTIONS
from sweep.tasks.maths.answers.numerals import Tree, number
from sweep.tasks.maths.answers.reader import Reader
from sweep.tasks.maths.answers.units import NUMBERS

_SPECIAL = {
    "empty": "no solution|no solutions|no real solution|no real solutions|none|empty set|the empty set|no real roots"
    "|no roots|no such values|no such numbers",
    "undefined": "dne|does not exist|undefined|not defined|doesn't exist",
    "integers": "all integers|integers|the integers|the set of integers|all integer values",
    "reals": "all real numbers|all reals|real numbers|all real x|all real|all real values",
}
_SPECIALS = {words: name for name, listed in _SPECIAL.items() for words in listed.split("|")}
_SMALL_WORDS = {"yes", "no", "odd", "even", "true", "false", "none", "all", "never", "always", "red"}
_CHOICE = re.compile(r"\(\s*([A-Za-z])\s*\)")
_CHOSEN = re.compile(r"(?:\\text\{\s*)?(?:\(\s*([A-J])\s*\)|([A-J])[.)])(?:\s*\})?[\s\u2009]+\S")
_CONDITION = re.compile(r"\\\{\s*([a-zA-Z])\s*(?:\\in\s*\\reals)?\s*[|:]\s*(.*)\\\}")
_MATHEMATICAL = FUNCTIONS | {"infinity", "theta", "alpha", "beta", "gamma", "lambda"}


@lru_cache(maxsize=2048)
def read(cleaned: str) -> Tree | None:
    """The tree of a cleaned answer, None where it is in no known notation."""
    in_text = cleaned.startswith("\\text{")
    plain = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", cleaned).replace("\u2009", " ").strip(' ."')
    plain = re.sub(r"\s+", " ", plain)
    if plain.lower() in _SPECIALS:
        return ("special", _SPECIALS[plain.lower()])
    if found := _CHOICE.fullmatch(plain):
        return ("choice", found[1])
    if re.fullmatch(r"[A-Za-z][A-Za-z '\-.]*", plain):
        if plain.lower() in NUMBERS and (in_text or len(plain) > 1):
            return number(Fraction(NUMBERS[plain.lower()]))
        if plain.lower() == "infinity":
            return ("const", "inf")
        if len(plain) == 1:
            return ("choice", plain) if in_text else Reader(plain).answer()
        if in_text or plain.lower() in _SMALL_WORDS or _is_word(plain):
            return ("words", plain)
    built = _CONDITION.fullmatch(cleaned)  # {x | x > 1} is the set of the numbers that the condition describes
    try:
        return Reader(built[2].strip() if built else cleaned).answer()
    except (UnreadableError, ValueError, ZeroDivisionError, RecursionError):
        return None


def choice(text: str) -> Tree | None:
    """The choice that ``(B) 12`` begins with, from a cleaned answer."""
    found = _CHOSEN.match(text)
    return ("choice", found[1] or found[2]) if found else None


def _is_word(plain: str) -> bool:
    return len(plain) >= 4 and re.split(r"[ '\-.]", plain)[0] not in _MATHEMATICAL
