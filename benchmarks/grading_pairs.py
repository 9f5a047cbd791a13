"""Pairs of answers with known verdicts: one value in two notations, or two values that look alike.

Strategies for hypothesis, by kind. `equal_pairs` draws a value and writes it twice; `near_misses` draws a value and
writes another one that a careless grader takes for it: a sign, a digit, an order, a bracket, a unit, a base.
"""

from collections.abc import Callable
from fractions import Fraction

from hypothesis import strategies as st

Draw = st.DrawFn
Pair = tuple[str, str, str]
"""Kind, right answer, answer."""

_SMALL = st.integers(1, 40)
_PRIMES = st.sampled_from([2, 3, 5, 7, 11, 13])


# Numbers


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
    decimal = _finite(size)
    if decimal is not None:
        forms += [sign + decimal, sign + decimal + "0", sign + decimal.removeprefix("0")]
        percent = _finite(size * 100)
        forms.append(f"{sign}{percent}\\%")
    else:
        if (line := _repeating(size)) is not None:
            forms.append(sign + line)
        forms.append(f"{sign}{float(size):.9f}" if size > 1 else f"{sign}{float(size):.12f}")
    return str(draw(st.sampled_from(forms)))


def _finite(value: Fraction) -> str | None:
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


# Polynomials


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


def _times(one: list[int], other: list[int]) -> list[int]:
    result = [0] * (len(one) + len(other) - 1)
    for place, left in enumerate(one):
        for further, right in enumerate(other):
            result[place + further] += left * right
    return result


def _linear(root: int) -> str:
    return "x" if root == 0 else f"(x - {root})" if root > 0 else f"(x + {-root})"


# Pairs of equal answers


def _number(draw: Draw) -> tuple[Fraction, Callable[[], str]]:
    value = Fraction(draw(st.integers(-60, 60)), draw(st.integers(1, 12)))
    return value, lambda: fraction(draw, value)


def _numbers(draw: Draw, least: int, most: int) -> list[Fraction]:
    values = draw(
        st.lists(
            st.builds(Fraction, st.integers(-30, 30), st.integers(1, 6)), min_size=least, max_size=most, unique=True
        )
    )
    return list(values)


def _plain(draw: Draw, value: Fraction) -> str:
    """A notation that can stand in a list: no spaces or commas set off thousands there."""
    text = fraction(draw, value)
    return text if "," not in text and "$" not in text else str(value)


def _interval(draw: Draw, low: Fraction, high: Fraction, opening: str, closing: str, *, words: bool) -> str:
    ends = _plain(draw, low), _plain(draw, high)
    forms = [f"{opening}{ends[0]}, {ends[1]}{closing}", f"\\left{opening} {ends[0]},{ends[1]} \\right{closing}"]
    if words:
        less = [
            draw(st.sampled_from(["<"] if bracket in "()" else [r"\le ", r"\leq ", "≤"]))
            for bracket in (opening, closing)
        ]
        forms += [f"{ends[0]} {less[0]} x {less[1]} {ends[1]}", f"x \\in {opening}{ends[0]},{ends[1]}{closing}"]
    return str(draw(st.sampled_from(forms)))


@st.composite
def equal_pairs(draw: Draw) -> Pair:
    """One value in two notations."""
    kind = str(draw(st.sampled_from(sorted(EQUAL))))
    return (kind, *EQUAL[kind](draw))


def _equal_whole(draw: Draw) -> tuple[str, str]:
    number = draw(
        st.one_of(st.integers(-99, 999), st.integers(10000, 9_999_999), st.integers(1, 900).map(lambda n: n * 1000))
    )
    name = draw(st.sampled_from(["", "", "", "x = ", "n=", r"\text{Area} = "]))
    return str(number), name + whole(draw, number)


def _equal_fraction(draw: Draw) -> tuple[str, str]:
    value, write = _number(draw)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}", write()


def _equal_surd(draw: Draw) -> tuple[str, str]:
    parts = draw(st.tuples(_SMALL, _PRIMES, _SMALL))
    return surd(draw, *parts), surd(draw, *parts)


def _equal_circle(draw: Draw) -> tuple[str, str]:
    parts = draw(st.tuples(_SMALL, _SMALL))
    return circle(draw, *parts), circle(draw, *parts)


def _equal_decimal(draw: Draw) -> tuple[str, str]:
    digits, places = draw(st.integers(1, 99999)), draw(st.integers(1, 8))
    value = Fraction(digits, 10**places)
    truth = f"{digits}e-{places:02d}" if places > 5 else _finite(value) or ""
    first, rest = str(digits)[0], str(digits)[1:]
    power = len(str(digits)) - 1 - places
    mantissa = f"{first}.{rest or '0'}"
    forms = [f"{mantissa} \\times 10^{{{power}}}", f"{mantissa}e{power}", f"{mantissa} \\cdot 10^{{{power}}}"]
    forms += [f"{_finite(value)}", f"{_finite(value)}".removeprefix("0"), f"\\frac{{{digits}}}{{{10**places}}}"]
    return truth, str(draw(st.sampled_from(forms)))


def _equal_tuple(draw: Draw) -> tuple[str, str]:
    values = _numbers(draw, 2, 4)
    texts = [_plain(draw, value) for value in values]
    forms = [f"({', '.join(texts)})", f"\\left({','.join(texts)}\\right)", f"\\left( {' , '.join(texts)} \\right)"]
    if len(values) == 2:
        forms += [f"(x,y) = ({texts[0]}, {texts[1]})", f"x = {texts[0]}, y = {texts[1]}"]
    return f"({', '.join(map(str, values))})", str(draw(st.sampled_from(forms)))


def _equal_list(draw: Draw) -> tuple[str, str]:
    values = _numbers(draw, 2, 4)
    texts = [_plain(draw, value) for value in draw(st.permutations(values))]
    forms = [", ".join(texts), ", ".join(texts[:-1]) + f" and {texts[-1]}", f"\\{{{', '.join(texts)}\\}}"]
    forms += [" \\text{ or } ".join(texts), "x = " + ", ".join(texts), ", ".join(f"x = {text}" for text in texts)]
    return ", ".join(map(str, values)), str(draw(st.sampled_from(forms)))


def _equal_set(draw: Draw) -> tuple[str, str]:
    values = _numbers(draw, 1, 4)
    texts = [_plain(draw, value) for value in draw(st.permutations(values))]
    again = [*texts, texts[0]] if draw(st.booleans()) else texts
    return f"\\{{{', '.join(map(str, values))}\\}}", f"\\left\\{{ {', '.join(again)} \\right\\}}"


def _equal_interval(draw: Draw) -> tuple[str, str]:
    low, high = sorted(_numbers(draw, 2, 2))
    brackets = draw(st.tuples(st.sampled_from("(["), st.sampled_from(")]")))
    return f"{brackets[0]}{low},{high}{brackets[1]}", _interval(draw, low, high, *brackets, words=True)


def _equal_half_line(draw: Draw) -> tuple[str, str]:
    (end,) = _numbers(draw, 1, 1)
    text = _plain(draw, end)
    truth, forms = draw(
        st.sampled_from(
            [
                (
                    f"({end},\\infty)",
                    [f"x > {text}", f"{text} < x", f"\\left({text}, +\\infty\\right)", f"x \\in ({text},\\infty)"],
                ),
                (f"(-\\infty,{end}]", [f"x \\le {text}", f"{text} \\geq x", f"\\left(-\\infty, {text}\\right]"]),
            ]
        )
    )
    return truth, str(draw(st.sampled_from(forms)))


def _equal_union(draw: Draw) -> tuple[str, str]:
    a, b, c, d = sorted(_numbers(draw, 4, 4))
    parts = [_interval(draw, a, b, "(", "]", words=False), _interval(draw, c, d, "[", ")", words=False)]
    return f"({a},{b}]\\cup[{c},{d})", r" \cup ".join(draw(st.permutations(parts)))


def _equal_polynomial(draw: Draw) -> tuple[str, str]:
    roots = draw(st.lists(st.integers(-9, 9), min_size=2, max_size=3))
    coefficients = [1]
    for root in roots:
        coefficients = _times(coefficients, [-root, 1])
    factored = "".join(_linear(root) for root in draw(st.permutations(roots)))
    return polynomial(draw, coefficients), str(
        draw(st.sampled_from([factored, polynomial(draw, coefficients), f"f(x) = {factored}"]))
    )


def _equal_line(draw: Draw) -> tuple[str, str]:
    slope, height = draw(st.integers(1, 9)), draw(st.integers(1, 20))
    factor = draw(st.sampled_from([2, 3, -1, -2]))
    forms = [
        f"y = {height} + {slope}x",
        f"{slope}x - y + {height} = 0",
        f"y - {slope}x = {height}",
        f"{slope}x + {height} = y",
    ]
    forms.append(f"{slope * factor}x - {factor}y + {height * factor} = 0".replace("- -", "+ ").replace("+ -", "- "))
    return f"y = {slope}x + {height}", str(draw(st.sampled_from(forms)))


def _equal_matrix(draw: Draw) -> tuple[str, str]:
    rows, columns = draw(st.sampled_from([(2, 1), (3, 1), (2, 2), (1, 3)]))
    values = _numbers(draw, rows * columns, rows * columns)
    lines = [[_plain(draw, value) for value in values[row * columns : (row + 1) * columns]] for row in range(rows)]
    name = draw(st.sampled_from(["pmatrix", "bmatrix", "matrix"]))
    written = r" \\ ".join(" & ".join(map(str, values[row * columns : (row + 1) * columns])) for row in range(rows))
    answer = r"\\".join("&".join(line) for line in lines)
    return f"\\begin{{pmatrix}} {written} \\end{{pmatrix}}", f"\\begin{{{name}}}{answer}\\end{{{name}}}"


def _equal_complex(draw: Draw) -> tuple[str, str]:
    real, imaginary = draw(st.integers(-20, 20)), draw(st.integers(1, 20))
    forms = [
        f"{imaginary}i + {real}",
        f"{real} + {imaginary} i",
        f"{real}.0+{imaginary}.0i",
        f"{real}+i\\cdot {imaginary}",
    ]
    forms.append(f"\\frac{{{2 * real}+{2 * imaginary}i}}{{2}}")
    return f"{real}+{imaginary}i", str(draw(st.sampled_from(forms)))


_UNITS = {"cm": ["centimeters", "cm"], "km": ["kilometers", "km"], "hours": ["hours", "hour"], "apples": ["apples"]}


def _equal_unit(draw: Draw) -> tuple[str, str]:
    value, write = _number(draw)
    unit = str(draw(st.sampled_from(sorted(_UNITS))))
    spelled = draw(st.sampled_from(_UNITS[unit]))
    number = write()
    forms = [
        f"{number}\\text{{ {spelled}}}",
        f"{number} \\mathrm{{{spelled}}}",
        f"{number}~\\text{{{spelled}}}",
        number,
    ]
    answer = str(draw(st.sampled_from(forms if "\\%" not in number else [f"{value}\\text{{ {spelled}}}"])))
    return f"{value}\\text{{ {unit}}}", answer


def _equal_money(draw: Draw) -> tuple[str, str]:
    cents = draw(st.integers(1, 5_000_000))
    plain, grouped = f"{cents / 100:.2f}", f"{cents / 100:,.2f}"
    forms = [
        f"\\${grouped}",
        f"${plain}",
        plain,
        f"{plain} \\text{{ dollars}}",
        f"\\${plain}",
        f"{cents}\\text{{ cents}}",
    ]
    return f"\\${plain}", str(draw(st.sampled_from(forms)))


def _equal_angle(draw: Draw) -> tuple[str, str]:
    degrees = draw(st.integers(1, 359))
    forms = [f"{degrees}^\\circ", f"{degrees}^{{\\circ}}", f"{degrees}°", f"{degrees} \\text{{ degrees}}", f"{degrees}"]
    radians = Fraction(degrees, 180)
    forms.append(f"\\frac{{{radians.numerator}\\pi}}{{{radians.denominator}}}")
    return f"{degrees}^\\circ", str(draw(st.sampled_from(forms)))


def _digits(number: int, base: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, base)
        text = str(digit) + text
    return text or "0"


def _equal_base(draw: Draw) -> tuple[str, str]:
    number, base = draw(st.integers(10, 5000)), draw(st.integers(2, 9))
    text = _digits(number, base)
    return f"{text}_{base}", str(
        draw(st.sampled_from([f"{text}_{{{base}}}", f"{text}_{base}", f"{text} _ {{{base}}}"]))
    )


def _equal_sign(draw: Draw) -> tuple[str, str]:
    middle, inside = draw(st.integers(1, 20)), draw(_PRIMES)
    both = [f"{middle}+\\sqrt{{{inside}}}", f"{middle}-\\sqrt{{{inside}}}"]
    first, second = draw(st.permutations(both))
    forms = [
        f"{first}, {second}",
        f"{first} \\text{{ and }} {second}",
        f"x = {middle}\\pm\\sqrt{{{inside}}}",
        f"\\{{{first}, {second}\\}}",
    ]
    return f"{middle} \\pm \\sqrt{{{inside}}}", str(draw(st.sampled_from(forms)))


def _equal_power(draw: Draw) -> tuple[str, str]:
    base, power = draw(st.integers(2, 12)), draw(st.integers(2, 60))
    forms = [
        f"\\frac{{1}}{{{base}^{{{power}}}}}",
        f"{base}^{{-{power}}}",
        f"({base}^{power})^{{-1}}",
        f"1/{base}^{{{power}}}",
    ]
    forms += [f"\\frac{{{base}}}{{{base}^{{{power + 1}}}}}", f"\\frac1{{{base**power}}}"]
    return f"{base}^{{-{power}}}", str(draw(st.sampled_from(forms)))


def _equal_logarithm(draw: Draw) -> tuple[str, str]:
    base, power, inside = draw(st.integers(2, 9)), draw(st.integers(2, 5)), draw(_PRIMES)
    forms = [
        f"{power}\\ln {inside}",
        f"\\ln({inside}^{power})",
        f"{power} \\log_{base} {inside} \\cdot \\ln {base}",
        f"\\ln\\left({inside**power}\\right)",
    ]
    return f"\\ln {inside**power}", str(draw(st.sampled_from(forms)))


def _equal_ratio(draw: Draw) -> tuple[str, str]:
    left, right, factor = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return f"{left}:{right}", str(
        draw(
            st.sampled_from(
                [
                    f"{left * factor} : {right * factor}" if right * factor < 10 else f"{left}:{right}",
                    f"\\frac{{{left}}}{{{right}}}",
                ]
            )
        )
    )


_NAMES = ["Evelyn", "Navin", "even", "odd", "east", "ellipse", "parabola", "Yes", "increasing", "scalene triangle"]


def _equal_words(draw: Draw) -> tuple[str, str]:
    name = str(draw(st.sampled_from(_NAMES)))
    forms = [
        name,
        f"\\text{{{name}}}",
        f"\\textbf{{{name}}}",
        f"\\mathrm{{{name}}}",
        name.upper(),
        f"{name}.",
        f"\\text{{ {name} }}",
    ]
    return f"\\text{{{name}}}", str(draw(st.sampled_from(forms)))


def _equal_choice(draw: Draw) -> tuple[str, str]:
    letter = str(draw(st.sampled_from("ABCDE")))
    forms = [
        letter,
        f"({letter})",
        f"\\text{{{letter}}}",
        f"\\textbf{{({letter})}}",
        f"\\text{{({letter})}}\\ {draw(_SMALL)}",
    ]
    return f"\\text{{({letter})}}", str(draw(st.sampled_from(forms)))


EQUAL: dict[str, Callable[[Draw], tuple[str, str]]] = {
    name.removeprefix("_equal_"): function for name, function in list(globals().items()) if name.startswith("_equal_")
}


# Pairs of answers that look alike


@st.composite
def near_misses(draw: Draw) -> Pair:
    """Two values that look alike."""
    kind = str(draw(st.sampled_from(sorted(NEAR))))
    return (kind, *NEAR[kind](draw))


def _near_whole(draw: Draw) -> tuple[str, str]:
    number = int(draw(st.integers(2, 99999)))
    others = {
        number + 1,
        number - 1,
        -number,
        number * 10,
        number + 10,
        int(str(number)[::-1]),
        number * number,
        2 * number,
        0,
    }
    others |= {int(str(number)[1:] or "0"), int(str(number)[:-1] or "0")}
    other = draw(st.sampled_from(sorted(others - {number})))
    return str(number), whole(draw, other)


def _near_fraction(draw: Draw) -> tuple[str, str]:
    value, _ = _number(draw)
    p, q = value.numerator, value.denominator
    others = {
        -value,
        Fraction(p + 1, q),
        Fraction(p, q + 1),
        Fraction(p - 1, q),
        value + 1,
        value * 10,
        value / 10,
        value * 100,
    }
    others |= {Fraction(q, p)} if p else set()
    forms = [
        fraction(draw, other) for other in sorted(others - {value}) if not (abs(other) > 1 and other == value * 100)
    ]
    forms = [form for form in forms if "%" not in form]
    if _finite(abs(value)) is None:
        forms += [f"{float(value):#.{digits}g}" for digits in (2, 3, 4, 5)]
    return f"\\frac{{{p}}}{{{q}}}", str(draw(st.sampled_from(forms)))


def _near_surd(draw: Draw) -> tuple[str, str]:
    f, i, u = draw(st.tuples(_SMALL, _PRIMES, _SMALL))
    forms = [
        surd(draw, f + 1, i, u),
        surd(draw, f, i, u + 1),
        f"-{surd(draw, f, i, u)}",
        f"\\frac{{{f}\\sqrt[3]{{{i}}}}}{{{u}}}",
    ]
    forms += [
        surd(draw, f, {2: 3, 3: 2, 5: 7, 7: 5, 11: 13, 13: 11}[i], u),
        f"\\frac{{{f * i}}}{{{u}}}",
        f"{f * i**0.5 / u:#.4g}",
    ]
    return surd(draw, f, i, u), str(draw(st.sampled_from(forms)))


def _near_circle(draw: Draw) -> tuple[str, str]:
    over, under = draw(st.tuples(_SMALL, _SMALL))
    forms = [
        circle(draw, over + 1, under),
        circle(draw, over, under + 1),
        f"\\frac{{{over}}}{{{under}}}",
        f"{3.14 * over / under:.3f}",
    ]
    forms += [f"\\frac{{{22 * over}}}{{{7 * under}}}", f"\\frac{{{over}\\pi^2}}{{{under}}}"]
    return circle(draw, over, under), str(draw(st.sampled_from(forms)))


def _near_decimal(draw: Draw) -> tuple[str, str]:
    digits, places = int(draw(st.integers(1, 9999999))), int(draw(st.integers(1, 12)))
    other = draw(
        st.sampled_from(
            [
                Fraction(digits + 1, 10**places),
                Fraction(digits, 10 ** (places + 1)),
                Fraction(digits * 10, 10**places),
                -Fraction(digits, 10**places),
                Fraction(10 * digits + 1, 10 ** (places + 1)),
                Fraction(0),
            ]
        )
    )
    finite = _finite(abs(other)) or f"{abs(other)}"
    return f"{digits} \\times 10^{{-{places}}}", ("-" if other < 0 else "") + finite


def _near_tuple(draw: Draw) -> tuple[str, str]:
    values = _numbers(draw, 2, 4)
    texts = [_plain(draw, value) for value in values]
    changed = [_plain(draw, values[0] + 1), *texts[1:]]
    forms = [
        f"({', '.join(reversed(texts))})",
        f"({', '.join(texts[:-1])})",
        f"({', '.join([*texts, texts[0]])})",
        f"({', '.join(changed)})",
    ]
    forms += [f"\\{{{', '.join(texts)}\\}}", texts[0]]
    if len(texts) == 2:
        forms += [f"[{texts[0]}, {texts[1]})", f"[{texts[0]}, {texts[1]}]"]
    return f"({', '.join(map(str, values))})", str(draw(st.sampled_from(forms)))


def _near_list(draw: Draw) -> tuple[str, str]:
    values = _numbers(draw, 2, 4)
    texts = [_plain(draw, value) for value in values]
    others = [*texts[:-1], _plain(draw, values[-1] + 37)]
    forms = [
        ", ".join(texts[:-1]),
        ", ".join([*texts, _plain(draw, values[0] + 50)]),
        ", ".join(others),
        " and ".join(others),
        texts[0],
    ]
    forms.append("x = " + ", ".join(others))
    return ", ".join(map(str, values)), str(draw(st.sampled_from(forms)))


def _near_one(draw: Draw) -> tuple[str, str]:
    """A list, a range or an equation that hopes to be taken for the number in it."""
    number = draw(st.integers(2, 99))
    more = ", ".join(str(number + step) for step in range(4))
    forms = [
        more,
        f"{number} \\text{{ or }} {number + 1}",
        f"\\{{{more}\\}}",
        f"{number} and {number + 2}",
        f"x > {number}",
        f"[{number}, {number + 1}]",
        f"\\pm {number}",
        f"0 = {number}",
        f"{number} = {number + 1}",
        f"x = {number - 1}",
        f"{number}x",
        f"{number}k",
        f"x - 1 = {number}",
        f"1, 2, \\ldots, {number}",
        f"1..{number}",
        f"{number} to {number + 5}",
        f"{number}/{number + 1}",
        f"\\text{{not }} {number}",
        f"{number} \\text{{ million}}",
        f"{number}:{number + 1}",
        f"({number}, {number})",
        "x",
        "",
        "answer",
        r"(-\infty,\infty)",
        f"{number}_{{11}}" if number > 10 else "y",
    ]
    return str(number), str(draw(st.sampled_from(forms)))


def _near_set(draw: Draw) -> tuple[str, str]:
    values = _numbers(draw, 2, 4)
    texts = [_plain(draw, value) for value in values]
    forms = [
        f"\\{{{', '.join(texts[:-1])}\\}}",
        f"({', '.join(texts)})",
        f"\\{{{', '.join([*texts, _plain(draw, max(values) + 1)])}\\}}",
        r"\emptyset",
    ]
    return f"\\{{{', '.join(map(str, values))}\\}}", str(draw(st.sampled_from(forms)))


def _near_interval(draw: Draw) -> tuple[str, str]:
    low, high = sorted(_numbers(draw, 2, 2))
    opening, closing = draw(st.tuples(st.sampled_from("(["), st.sampled_from(")]")))
    other, ending = {"(": "[", "[": "("}[opening], {")": "]", "]": ")"}[closing]
    forms = [
        _interval(draw, low, high, other, closing, words=True),
        _interval(draw, low, high, opening, ending, words=True),
        _interval(draw, low, high + 1, opening, closing, words=True),
        _interval(draw, low - 1, high, opening, closing, words=True),
        f"{opening}{high},{low}{closing}",
        f"({low},\\infty)",
        f"{low}",
    ]
    return f"{opening}{low},{high}{closing}", str(draw(st.sampled_from(forms)))


def _near_half_line(draw: Draw) -> tuple[str, str]:
    (end,) = _numbers(draw, 1, 1)
    forms = [
        f"x \\ge {end}",
        f"x < {end}",
        f"[{end}, \\infty)",
        f"x > {end + 1}",
        f"(-\\infty, {end})",
        f"{end}",
        f"x = {end}",
        f"y > {end}",
    ]
    return draw(st.sampled_from([f"({end},\\infty)", f"x > {end}"])), str(draw(st.sampled_from(forms[:-1])))


def _near_polynomial(draw: Draw) -> tuple[str, str]:
    coefficients = list(draw(st.lists(st.integers(-9, 9), min_size=3, max_size=4)))
    coefficients[-1] = coefficients[-1] or 1
    place = int(draw(st.integers(0, len(coefficients) - 1)))
    other = list(coefficients)
    other[place] = -other[place] if other[place] and draw(st.booleans()) else other[place] + 1
    forms = [
        polynomial(draw, other),
        polynomial(draw, coefficients, symbol="y"),
        polynomial(draw, [*coefficients, 1]),
        str(sum(coefficients)),
    ]
    return polynomial(draw, coefficients), str(draw(st.sampled_from(forms)))


def _near_line(draw: Draw) -> tuple[str, str]:
    slope, height = int(draw(st.integers(1, 9))), int(draw(st.integers(1, 20)))
    forms = [
        f"y = {slope}x - {height}",
        f"y = {slope + 1}x + {height}",
        f"y = -{slope}x + {height}",
        f"{slope}x + y + {height} = 0",
        f"x = {slope}y + {height}",
        f"y > {slope}x + {height}",
        f"{height}",
    ]
    return f"y = {slope}x + {height}", str(draw(st.sampled_from(forms)))


def _near_matrix(draw: Draw) -> tuple[str, str]:
    values = _numbers(draw, 4, 4)
    a, b, c, d = values
    forms = [
        f"{a} & {c} \\\\ {b} & {d}",
        f"{b} & {a} \\\\ {c} & {d}",
        f"{a} & {b} \\\\ {c} & {d + 1}",
        f"{a} & {b} & {c} & {d}",
        f"{-a} & {-b} \\\\ {-c} & {-d}" if any(values) else "9 & 9 \\\\ 9 & 9",
    ]
    return (
        f"\\begin{{pmatrix}}{a} & {b} \\\\ {c} & {d}\\end{{pmatrix}}",
        f"\\begin{{pmatrix}}{draw(st.sampled_from(forms))}\\end{{pmatrix}}",
    )


def _near_complex(draw: Draw) -> tuple[str, str]:
    real, imaginary = int(draw(st.integers(1, 20))), int(draw(st.integers(1, 20)))
    forms = [
        f"{real}-{imaginary}i",
        f"-{real}+{imaginary}i",
        f"{real}+{imaginary + 1}i",
        f"{real}+{imaginary}",
        f"{real}",
        f"{imaginary}i",
        f"{real + 1}+{imaginary}i",
        f"{real}+{imaginary}j",
        f"{real}{imaginary}i",
    ]
    return f"{real}+{imaginary}i", str(draw(st.sampled_from(forms)))


def _near_unit(draw: Draw) -> tuple[str, str]:
    value = int(draw(st.integers(1, 99)))
    pairs = [
        ("cm", "m"),
        ("cm", "cm^2"),
        ("m", "km"),
        ("hours", "minutes"),
        ("apples", "oranges"),
        ("kg", "g"),
        ("inches", "feet"),
        ("cm^2", "cm^3"),
        ("mph", "feet"),
        ("days", "weeks"),
    ]
    one, other = draw(st.sampled_from(pairs))
    names = [re_power(name) for name in draw(st.permutations([one, other]))]
    answer = draw(
        st.sampled_from(
            [f"{value}{names[1]}", f"{value + 1}{names[0]}", f"{value} \\text{{ thousand}}", f"{value}^\\circ"]
        )
    )
    return f"{value}{names[0]}", str(answer)


def re_power(name: str) -> str:
    """A unit with its power outside the text, as LaTeX has it."""
    word, _, power = name.partition("^")
    return f"\\text{{ {word}}}^{power}" if power else f"\\text{{ {word}}}"


def _near_percent(draw: Draw) -> tuple[str, str]:
    number = int(draw(st.integers(2, 99)))
    forms = [
        f"{number + 1}\\%",
        f"{number / 10}",
        f"{number}^\\circ",
        f"-{number}\\%",
        f"{number * 10}\\%",
        f"\\frac{{{number}}}{{10}}",
        f"{number + 1}",
    ]
    return f"{number}\\%", str(draw(st.sampled_from(forms)))


def _near_base(draw: Draw) -> tuple[str, str]:
    number, base = int(draw(st.integers(20, 5000))), int(draw(st.integers(3, 8)))
    text = _digits(number, base)
    forms = [
        f"{text}_{base + 1}",
        f"{_digits(number + 1, base)}_{base}",
        f"{number}",
        f"{text}0_{base}",
        f"{text}",
        f"{_digits(number, base + 1)}_{base + 1}",
    ]
    return f"{text}_{base}", str(draw(st.sampled_from(forms)))


def _near_sign(draw: Draw) -> tuple[str, str]:
    middle, inside = draw(st.integers(1, 20)), draw(_PRIMES)
    forms = [
        f"{middle}+\\sqrt{{{inside}}}",
        f"{middle}-\\sqrt{{{inside}}}",
        f"\\pm\\sqrt{{{inside}}}",
        f"{middle}\\pm{inside}",
        f"-{middle}\\pm\\sqrt{{{inside}}}",
        f"{middle}",
    ]
    return f"{middle} \\pm \\sqrt{{{inside}}}", str(draw(st.sampled_from(forms)))


def _near_power(draw: Draw) -> tuple[str, str]:
    base, power = int(draw(st.integers(2, 12))), int(draw(st.integers(2, 60)))
    forms = [
        f"{base}^{{-{power + 1}}}",
        f"{base + 1}^{{-{power}}}",
        f"{base}^{{{power}}}",
        f"-{base}^{{-{power}}}",
        "0",
        f"{base}^{{-{power}}} + 10^{{-90}}",
    ]
    return f"{base}^{{-{power}}}", str(draw(st.sampled_from(forms)))


def _near_logarithm(draw: Draw) -> tuple[str, str]:
    base, inside = int(draw(st.integers(2, 9))), int(draw(st.integers(11, 40)))
    forms = [
        f"\\log_{{{base + 1}}} {inside}",
        f"\\log_{base} {inside + 1}",
        f"\\ln {inside}",
        f"\\log_{{{inside}}} {base}",
        f"\\log_{base} {{{inside}}}^2",
    ]
    return f"\\log_{base} {inside}", str(draw(st.sampled_from(forms)))


def _near_ratio(draw: Draw) -> tuple[str, str]:
    left, right = int(draw(st.integers(1, 9))), int(draw(st.integers(1, 9)))
    forms = [f"{left + 1}:{right}", f"{left}:{right + 1}", f"\\frac{{{left}}}{{{right + 1}}}", f"{left}:{right}:1"]
    return f"{left}:{right}", str(draw(st.sampled_from(forms)))


def _near_words(draw: Draw) -> tuple[str, str]:
    one, other = draw(st.permutations(_NAMES))[:2]
    return f"\\text{{{one}}}", str(
        draw(st.sampled_from([other, f"\\text{{{other}}}", f"not {one}", f"{one} and {other}", one[::-1], "5"]))
    )


def _near_choice(draw: Draw) -> tuple[str, str]:
    one, other = draw(st.permutations("ABCDE"))[:2]
    return f"\\text{{({one})}}", str(
        draw(st.sampled_from([other, f"({other})", f"{one}, {other}", f"{one}{other}", f"\\text{{({other})}} {one}"]))
    )


NEAR: dict[str, Callable[[Draw], tuple[str, str]]] = {
    name.removeprefix("_near_"): function for name, function in list(globals().items()) if name.startswith("_near_")
}
