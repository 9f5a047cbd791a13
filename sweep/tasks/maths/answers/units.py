r"""Units of measurement: what stands behind a number, and whether two of them measure the same.

A unit is dimensions with exponents beside a factor. A word that is no known unit is a dimension of its own, so that
``5 apples`` is not ``5 oranges``.
"""

import re
from fractions import Fraction

_TABLE = {
    "length": "m:1 meter:1 metre:1 cm:1/100 centimeter:1/100 centimetre:1/100 mm:1/1000 millimeter:1/1000 km:1000"
    " kilometer:1000 kilometre:1000 in:127/5000 inch:127/5000 inche:127/5000 ft:381/1250 foot:381/1250 feet:381/1250"
    " yd:1143/1250 yard:1143/1250 mi:201168/125 mile:201168/125",
    "mass": "g:1 gram:1 kg:1000 kilogram:1000 mg:1/1000 milligram:1/1000 lb:45359237/100000 pound:45359237/100000"
    " oz:45359237/1600000 ounce:45359237/1600000",
    "time": "s:1 sec:1 second:1 min:60 minute:60 h:3600 hr:3600 hour:3600 day:86400 week:604800 ms:1/1000",
    "month": "month:1 year:12 yr:12",
    "volume": "L:1 l:1 liter:1 litre:1 ml:1/1000 mL:1/1000 milliliter:1/1000 millilitre:1/1000",
    "gallon": "gal:1 gallon:1",
    "dollar": "dollar:1 USD:1 buck:1 cent:1/100",
    "euro": "euro:1 EUR:1",
    "sterling": "GBP:1",
    "energy": "J:1 joule:1 kJ:1000",
    "force": "N:1 newton:1",
    "power": "W:1 watt:1 kW:1000",
    "volt": "V:1 volt:1",
    "kelvin": "K:1 kelvin:1",
}
UNITS: dict[str, tuple[str, Fraction]] = {}
for _dimension, _row in _TABLE.items():
    for _entry in _row.split():
        _name, _, _factor = _entry.partition(":")
        UNITS[_name] = (_dimension, Fraction(_factor))

_SAYS_NOTHING = "unit sq of the total in all each way different possible exactly th st nd rd"
_EMPTY = frozenset(_SAYS_NOTHING.split())
"""Words behind a number that say nothing about it."""
_SAYS_MORE = (
    "and or not no minus plus times less more fewer greater than if when mod modulo half halve third quarter"
    " fourth fifth sixth seventh eighth ninth tenth hundredth thousandth hundred thousand million billion trillion"
    " dozen score pair factorial negative positive over divided by to from between squared cubed point for is are"
    " was be approximately about around at least most other except infinity pi zero one two three four five six"
    " seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy eighty ninety base power root"
    " where with without nor but either neither percent degree radian answer"
)
_NEVER = frozenset(_SAYS_MORE.split())
"""Words that change the number before them or say something else: no unit has them."""
MULTIPLIERS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
}  # fmt: skip
NUMBERS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip

Dimensions = tuple[tuple[str, int], ...]
Unit = tuple[Dimensions, Fraction]
"""Dimensions with exponents, sorted, and how much of the first unit of its table's row one of it is."""
CURRENCIES: dict[str, Dimensions] = {
    r"\dollar": (("dollar", 1),), r"\euro": (("euro", 1),), r"\pound": (("sterling", 1),),
}  # fmt: skip
_PARTS = re.compile(r"[A-Za-z]+(?:'s)?|\^\s*\{?\s*-?[0-9]\s*\}?|\S")
_MOST_PARTS = 10


def is_unit_word(word: str) -> bool:
    """Whether a bare word of two letters or more is a unit of the table, or a word for degrees or percent."""
    return len(word) > 1 and (
        word in UNITS
        or _singular(word) in UNITS
        or _singular(word) in ("deg", "degree", "percent", "mph", "kph", "kmph")
    )


def unwrapped(phrase: str) -> str:
    """Words without text wrappers and small spaces."""
    return re.sub(r"\\text\{([^{}]*)\}", r" \1 ", phrase).replace("\u2009", " ").strip(" .,")


def read_unit(phrase: str) -> Unit | None:
    """The unit that a phrase names, without dimensions where it says nothing, None where it is no unit.

    >>> read_unit("square meters"), read_unit("cm^2") == read_unit("square centimeters"), read_unit("or 6")
    (((('length', 2),), Fraction(1, 1)), True, None)
    """
    parts = _PARTS.findall(re.sub(r"\b(mile|km|k)s?ph\b", r"\1 per hour", unwrapped(phrase).replace("mph", "mileph")))
    if len(parts) > _MOST_PARTS:
        return None
    found: list[tuple[str, Fraction, int]] = []
    side, next_power = 1, 1
    for part in parts:
        word = part if part in UNITS else _singular(part.lower())
        if part[0] == "^" or (word in ("squared", "cubed") and found):
            if not found:
                return None
            name, size, power = found.pop()
            raised = {"squared": 2, "cubed": 3}.get(word) or int(re.sub(r"[^0-9-]", "", part))
            found.append((name, size, power * raised))
        elif part in "*().-" or (word in ("a", "an") and side < 0):
            continue
        elif word in ("/", "per"):
            side = -1
        elif word in ("square", "sq", "cubic"):
            next_power = 3 if word == "cubic" else 2
        elif not part[0].isalpha() or word in _NEVER or (len(part) == 1 and part not in UNITS):
            return None
        elif word in _EMPTY and part not in UNITS:
            next_power = 1
        else:
            name, size = UNITS.get(word) or (f"?{word}", Fraction(1))
            found.append((name, size, side * next_power))
            next_power = 1
    return _together(found)


def _together(found: list[tuple[str, Fraction, int]]) -> Unit:
    dimensions: dict[str, int] = {}
    factor = Fraction(1)
    for name, size, power in found:
        dimensions[name] = dimensions.get(name, 0) + power
        factor *= size**power
    if dimensions == {"length": 3}:  # a litre is a thousandth of a cubic metre
        dimensions, factor = {"volume": 1}, factor * 1000
    return tuple(sorted((name, power) for name, power in dimensions.items() if power)), factor


def _singular(word: str) -> str:
    word = word.removesuffix("'s")
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word
