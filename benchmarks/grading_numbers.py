"""Pairs of numbers: one in two notations (`_equal_...`), and two that a careless grader takes for one (`_near_...`)."""

from fractions import Fraction

from hypothesis import strategies as st

from benchmarks.grading_notations import PRIMES, SMALL, Draw, circle, drawn_number, finite, fraction, surd, whole


def _digits(number: int, base: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, base)
        text = str(digit) + text
    return text or "0"


def _equal_whole(draw: Draw) -> tuple[str, str]:
    number = draw(
        st.one_of(st.integers(-99, 999), st.integers(10000, 9_999_999), st.integers(1, 900).map(lambda n: n * 1000))
    )
    name = draw(st.sampled_from(["", "", "", "x = ", "n=", r"\text{Area} = "]))
    return str(number), name + whole(draw, number)


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


def _equal_fraction(draw: Draw) -> tuple[str, str]:
    value, write = drawn_number(draw)
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}", write()


def _near_fraction(draw: Draw) -> tuple[str, str]:
    value, _ = drawn_number(draw)
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
    if finite(abs(value)) is None:
        forms += [f"{float(value):#.{digits}g}" for digits in (2, 3, 4, 5)]
    return f"\\frac{{{p}}}{{{q}}}", str(draw(st.sampled_from(forms)))


def _equal_surd(draw: Draw) -> tuple[str, str]:
    parts = draw(st.tuples(SMALL, PRIMES, SMALL))
    return surd(draw, *parts), surd(draw, *parts)


def _near_surd(draw: Draw) -> tuple[str, str]:
    f, i, u = draw(st.tuples(SMALL, PRIMES, SMALL))
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


def _equal_circle(draw: Draw) -> tuple[str, str]:
    parts = draw(st.tuples(SMALL, SMALL))
    return circle(draw, *parts), circle(draw, *parts)


def _near_circle(draw: Draw) -> tuple[str, str]:
    over, under = draw(st.tuples(SMALL, SMALL))
    forms = [
        circle(draw, over + 1, under),
        circle(draw, over, under + 1),
        f"\\frac{{{over}}}{{{under}}}",
        f"{3.14 * over / under:.3f}",
    ]
    forms += [f"\\frac{{{22 * over}}}{{{7 * under}}}", f"\\frac{{{over}\\pi^2}}{{{under}}}"]
    return circle(draw, over, under), str(draw(st.sampled_from(forms)))


def _equal_decimal(draw: Draw) -> tuple[str, str]:
    digits, places = draw(st.integers(1, 99999)), draw(st.integers(1, 8))
    value = Fraction(digits, 10**places)
    truth = f"{digits}e-{places:02d}" if places > 5 else finite(value) or ""
    first, rest = str(digits)[0], str(digits)[1:]
    power = len(str(digits)) - 1 - places
    mantissa = f"{first}.{rest or '0'}"
    forms = [f"{mantissa} \\times 10^{{{power}}}", f"{mantissa}e{power}", f"{mantissa} \\cdot 10^{{{power}}}"]
    forms += [f"{finite(value)}", f"{finite(value)}".removeprefix("0"), f"\\frac{{{digits}}}{{{10**places}}}"]
    return truth, str(draw(st.sampled_from(forms)))


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
    written = finite(abs(other)) or f"{abs(other)}"
    return f"{digits} \\times 10^{{-{places}}}", ("-" if other < 0 else "") + written


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


def _equal_sign(draw: Draw) -> tuple[str, str]:
    middle, inside = draw(st.integers(1, 20)), draw(PRIMES)
    both = [f"{middle}+\\sqrt{{{inside}}}", f"{middle}-\\sqrt{{{inside}}}"]
    first, second = draw(st.permutations(both))
    forms = [
        f"{first}, {second}",
        f"{first} \\text{{ and }} {second}",
        f"x = {middle}\\pm\\sqrt{{{inside}}}",
        f"\\{{{first}, {second}\\}}",
    ]
    return f"{middle} \\pm \\sqrt{{{inside}}}", str(draw(st.sampled_from(forms)))


def _near_sign(draw: Draw) -> tuple[str, str]:
    middle, inside = draw(st.integers(1, 20)), draw(PRIMES)
    forms = [
        f"{middle}+\\sqrt{{{inside}}}",
        f"{middle}-\\sqrt{{{inside}}}",
        f"\\pm\\sqrt{{{inside}}}",
        f"{middle}\\pm{inside}",
        f"-{middle}\\pm\\sqrt{{{inside}}}",
        f"{middle}",
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


def _equal_logarithm(draw: Draw) -> tuple[str, str]:
    base, power, inside = draw(st.integers(2, 9)), draw(st.integers(2, 5)), draw(PRIMES)
    forms = [
        f"{power}\\ln {inside}",
        f"\\ln({inside}^{power})",
        f"{power} \\log_{base} {inside} \\cdot \\ln {base}",
        f"\\ln\\left({inside**power}\\right)",
    ]
    return f"\\ln {inside**power}", str(draw(st.sampled_from(forms)))


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


def _near_ratio(draw: Draw) -> tuple[str, str]:
    left, right = int(draw(st.integers(1, 9))), int(draw(st.integers(1, 9)))
    forms = [f"{left + 1}:{right}", f"{left}:{right + 1}", f"\\frac{{{left}}}{{{right + 1}}}", f"{left}:{right}:1"]
    return f"{left}:{right}", str(draw(st.sampled_from(forms)))


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


def _equal_base(draw: Draw) -> tuple[str, str]:
    number, base = draw(st.integers(10, 5000)), draw(st.integers(2, 9))
    text = _digits(number, base)
    return f"{text}_{base}", str(
        draw(st.sampled_from([f"{text}_{{{base}}}", f"{text}_{base}", f"{text} _ {{{base}}}"]))
    )


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
