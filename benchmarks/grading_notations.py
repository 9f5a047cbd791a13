"""A value in one of its notations: numbers, polynomials, intervals: what pairs of known verdict are written with."""

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st

Draw = st.DrawFn
SMALL = st.integers(1, 40)
PRIMES = st.sampled_from([2, 3, 5, 7, 11, 13])


def _grouped(number: int, separator: str) -> str:
    return f"{number:,}".replace(",", separator)


def whole(draw: Draw, number: int) -> str:
    """A whole number in one of its notations."""
    sign, size = ("-" if number < 0 else ""), abs(number)
    forms = [f"{number}", f"{number}.0", f"{sign}0{size}", f"\\text{{{number}}}", f"{{{number}}}", f"${number}$"]
    factor = draw(st.integers(2, 9))
    forms += [f"\\frac{{{number * factor}}}{{{factor}}}", f"{sign}\\frac{{{size * factor}}}{{{factor}}}"]
    part = draw(st.integers(1, 99))
    forms += [
        f"{number + part} - {part}",
        f"{part} + {number - part}" if number >= part else f"{number}",
        f"({number})",
    ]
    if size >= 10000:
        forms += [sign + _grouped(size, separator) for separator in (",", r"{,}", r"\,", " ", r",\!")]
    if size and size % 1000 == 0:
        forms += [f"{number // 1000} \\times 10^3", f"{number // 1000}e3", f"{number // 1000} \\cdot 10^{{3}}"]
    if 2 <= size <= 60:
        forms += [f"{sign}\\sqrt{{{size * size}}}", f"{sign}\\sqrt[3]{{{size**3}}}"]
    if size & (size - 1) == 0 and size > 1:
        forms.append(f"{sign}2^{{{size.bit_length() - 1}}}")
    return str(draw(st.sampled_from(forms)))


def _repeating(value: Fraction) -> str | None:
    """A decimal with a line over what repeats, where that is short."""
    rest, digits, seen = value % 1, "", {}
    while rest and rest not in seen and len(digits) < 8:
        seen[rest] = len(digits)
        rest *= 10
        digits, rest = digits + str(int(rest)), rest % 1
    if not rest:
        return None
    if rest not in seen:
        return None
    start = seen[rest]
    return f"{int(value)}.{digits[:start]}\\overline{{{digits[start:]}}}"


def fraction(draw: Draw, value: Fraction) -> str:
    """A fraction in one of its notations."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    over, under = size.numerator, size.denominator
    if under == 1:
        return whole(draw, int(value))
    factor = draw(st.integers(1, 6))
    command = draw(st.sampled_from([r"\frac", r"\dfrac", r"\tfrac"]))
    forms = [
        f"{sign}{command}{{{over * factor}}}{{{under * factor}}}",
        f"{command}{{{sign}{over}}}{{{under}}}",
        f"{sign}{over}/{under}",
        f"\\left({sign}\\frac{{{over}}}{{{under}}}\\right)",
        f"{sign}{over} \\cdot {under}^{{-1}}",
        f"{sign}\\frac{{1}}{{{under}}} \\cdot {over}",
    ]
    if sign:
        forms.append(f"{command}{{{over}}}{{-{under}}}")
    if over < 10 and under < 10:
        forms.append(f"{sign}\\frac{over}{under}")
    if over > under:
        forms += [
            f"{sign}{over // under}\\frac{{{over % under}}}{{{under}}}",
            f"{sign}{over // under} {over % under}/{under}",
        ]
    decimal = finite(size)
    if decimal is not None:
        forms += [sign + decimal, sign + decimal + "0", sign + decimal.removeprefix("0")]
        percent = finite(size * 100)
        forms.append(f"{sign}{percent}\\%")
    else:
        if (line := _repeating(size)) is not None:
            forms.append(sign + line)
        forms.append(f"{sign}{float(size):.9f}" if size > 1 else f"{sign}{float(size):.12f}")
    return str(draw(st.sampled_from(forms)))


def finite(value: Fraction) -> str | None:
    """The decimal of a fraction that has one."""
    for places in range(12):
        if (value * 10**places).denominator == 1:
            digits = str(int(value * 10**places)).zfill(places + 1)
            return f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}" if places else digits
    return None


def surd(draw: Draw, factor: int, inside: int, under: int) -> str:
    """``factor * sqrt(inside) / under``, where the inside is a prime."""
    f, i, u = factor, inside, under
    forms = [
        f"\\frac{{{f}\\sqrt{{{i}}}}}{{{u}}}",
        f"\\frac{{{f}}}{{{u}}}\\sqrt{{{i}}}",
        f"\\frac{{\\sqrt{{{f * f * i}}}}}{{{u}}}",
        f"\\sqrt{{\\frac{{{f * f * i}}}{{{u * u}}}}}",
        f"\\frac{{{f * i}}}{{{u}\\sqrt{{{i}}}}}",
        f"{f}*sqrt({i})/{u}",
        f"\\frac{{{f} \\cdot {i}^{{1/2}}}}{{{u}}}",
        f"\\dfrac{{{f}\\sqrt{i}}}{{{u}}}" if i < 10 else f"\\dfrac{{{f}\\sqrt{{{i}}}}}{{{u}}}",
    ]
    return str(draw(st.sampled_from(forms)))


def circle(draw: Draw, over: int, under: int) -> str:
    """``over * pi / under``."""
    forms = [
        f"\\frac{{{over}\\pi}}{{{under}}}",
        f"\\frac{{{over}}}{{{under}}}\\pi",
        f"{over}\\pi/{under}",
        f"{over}π/{under}",
        f"\\frac{{{2 * over}\\pi}}{{{2 * under}}}",
        f"\\pi \\cdot \\frac{{{over}}}{{{under}}}",
        f"{over}*pi/{under}",
    ]
    return str(draw(st.sampled_from(forms)))


def polynomial(draw: Draw, coefficients: list[int], *, symbol: str = "x") -> str:
    """A polynomial with the lowest coefficient first, its terms in some order, or Horner's way."""
    terms = []
    for power, coefficient in enumerate(coefficients):
        if coefficient:
            name = (
                ""
                if power == 0
                else symbol
                if power == 1
                else f"{symbol}^{power}"
                if draw(st.booleans())
                else f"{symbol}^{{{power}}}"
            )
            size = "" if abs(coefficient) == 1 and power else str(abs(coefficient))
            terms.append(("-" if coefficient < 0 else "+", f"{size}{name}"))
    if not terms:
        return "0"
    order = draw(st.permutations(terms))
    text = " ".join(f"{sign} {term}" for sign, term in order)
    return text.removeprefix("+ ").replace("- ", "-", 1) if text.startswith(("+ ", "- ")) else text


def times(one: list[int], other: list[int]) -> list[int]:
    """The product of two polynomials, lowest coefficient first."""
    result = [0] * (len(one) + len(other) - 1)
    for place, left in enumerate(one):
        for further, right in enumerate(other):
            result[place + further] += left * right
    return result


def linear(root: int) -> str:
    """The factor with this root."""
    return "x" if root == 0 else f"(x - {root})" if root > 0 else f"(x + {-root})"


def drawn_number(draw: Draw) -> tuple[Fraction, Callable[[], str]]:
    """A fraction, and what writes it in one of its notations."""
    value = Fraction(draw(st.integers(-60, 60)), draw(st.integers(1, 12)))
    return value, lambda: fraction(draw, value)


def drawn_numbers(draw: Draw, least: int, most: int) -> list[Fraction]:
    """Different fractions."""
    values = draw(
        st.lists(
            st.builds(Fraction, st.integers(-30, 30), st.integers(1, 6)), min_size=least, max_size=most, unique=True
        )
    )
    return list(values)


def listed(draw: Draw, value: Fraction) -> str:
    """A notation that can stand in a list: no spaces or commas set off thousands there."""
    text = fraction(draw, value)
    return text if "," not in text and "$" not in text else str(value)


def interval_text(draw: Draw, low: Fraction, high: Fraction, opening: str, closing: str, *, words: bool) -> str:
    """An interval in one of its notations, as an inequality too where words are allowed."""
    ends = listed(draw, low), listed(draw, high)
    forms = [f"{opening}{ends[0]}, {ends[1]}{closing}", f"\\left{opening} {ends[0]},{ends[1]} \\right{closing}"]
    if words:
        less = [
            draw(st.sampled_from(["<"] if bracket in "()" else [r"\le ", r"\leq ", "≤"]))
            for bracket in (opening, closing)
        ]
        forms += [f"{ends[0]} {less[0]} x {less[1]} {ends[1]}", f"x \\in {opening}{ends[0]},{ends[1]}{closing}"]
    return str(draw(st.sampled_from(forms)))
