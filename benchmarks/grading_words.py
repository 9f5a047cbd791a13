"""Pairs of quantities with a unit, words and choices: one in two notations, and two that look alike."""

from fractions import Fraction

from hypothesis import strategies as st

from benchmarks.grading_notations import SMALL, Draw, drawn_number

_UNITS = {"cm": ["centimeters", "cm"], "km": ["kilometers", "km"], "hours": ["hours", "hour"], "apples": ["apples"]}


_NAMES = ["Evelyn", "Navin", "even", "odd", "east", "ellipse", "parabola", "Yes", "increasing", "scalene triangle"]


def re_power(name: str) -> str:
    """A unit with its power outside the text, as LaTeX has it."""
    word, _, power = name.partition("^")
    return f"\\text{{ {word}}}^{power}" if power else f"\\text{{ {word}}}"


def _equal_unit(draw: Draw) -> tuple[str, str]:
    value, write = drawn_number(draw)
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


def _near_words(draw: Draw) -> tuple[str, str]:
    one, other = draw(st.permutations(_NAMES))[:2]
    return f"\\text{{{one}}}", str(
        draw(st.sampled_from([other, f"\\text{{{other}}}", f"not {one}", f"{one} and {other}", one[::-1], "5"]))
    )


def _equal_choice(draw: Draw) -> tuple[str, str]:
    letter = str(draw(st.sampled_from("ABCDE")))
    forms = [
        letter,
        f"({letter})",
        f"\\text{{{letter}}}",
        f"\\textbf{{({letter})}}",
        f"\\text{{({letter})}}\\ {draw(SMALL)}",
    ]
    return f"\\text{{({letter})}}", str(draw(st.sampled_from(forms)))


def _near_choice(draw: Draw) -> tuple[str, str]:
    one, other = draw(st.permutations("ABCDE"))[:2]
    return f"\\text{{({one})}}", str(
        draw(st.sampled_from([other, f"({other})", f"{one}, {other}", f"{one}{other}", f"\\text{{({other})}} {one}"]))
    )
