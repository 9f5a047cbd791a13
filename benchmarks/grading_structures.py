"""Pairs of lists, sets, intervals, polynomials, lines and matrices: one in two notations, and two that look alike."""

from hypothesis import strategies as st

from benchmarks.grading_notations import Draw, drawn_numbers, interval_text, linear, listed, polynomial, times


def _equal_tuple(draw: Draw) -> tuple[str, str]:
    values = drawn_numbers(draw, 2, 4)
    texts = [listed(draw, value) for value in values]
    forms = [f"({', '.join(texts)})", f"\\left({','.join(texts)}\\right)", f"\\left( {' , '.join(texts)} \\right)"]
    if len(values) == 2:
        forms += [f"(x,y) = ({texts[0]}, {texts[1]})", f"x = {texts[0]}, y = {texts[1]}"]
    return f"({', '.join(map(str, values))})", str(draw(st.sampled_from(forms)))


def _near_tuple(draw: Draw) -> tuple[str, str]:
    values = drawn_numbers(draw, 2, 4)
    texts = [listed(draw, value) for value in values]
    changed = [listed(draw, values[0] + 1), *texts[1:]]
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


def _equal_list(draw: Draw) -> tuple[str, str]:
    values = drawn_numbers(draw, 2, 4)
    texts = [listed(draw, value) for value in draw(st.permutations(values))]
    forms = [", ".join(texts), ", ".join(texts[:-1]) + f" and {texts[-1]}", f"\\{{{', '.join(texts)}\\}}"]
    forms += [" \\text{ or } ".join(texts), "x = " + ", ".join(texts), ", ".join(f"x = {text}" for text in texts)]
    return ", ".join(map(str, values)), str(draw(st.sampled_from(forms)))


def _near_list(draw: Draw) -> tuple[str, str]:
    values = drawn_numbers(draw, 2, 4)
    texts = [listed(draw, value) for value in values]
    others = [*texts[:-1], listed(draw, values[-1] + 37)]
    forms = [
        ", ".join(texts[:-1]),
        ", ".join([*texts, listed(draw, values[0] + 50)]),
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


def _equal_set(draw: Draw) -> tuple[str, str]:
    values = drawn_numbers(draw, 1, 4)
    texts = [listed(draw, value) for value in draw(st.permutations(values))]
    again = [*texts, texts[0]] if draw(st.booleans()) else texts
    return f"\\{{{', '.join(map(str, values))}\\}}", f"\\left\\{{ {', '.join(again)} \\right\\}}"


def _near_set(draw: Draw) -> tuple[str, str]:
    values = drawn_numbers(draw, 2, 4)
    texts = [listed(draw, value) for value in values]
    forms = [
        f"\\{{{', '.join(texts[:-1])}\\}}",
        f"({', '.join(texts)})",
        f"\\{{{', '.join([*texts, listed(draw, max(values) + 1)])}\\}}",
        r"\emptyset",
    ]
    return f"\\{{{', '.join(map(str, values))}\\}}", str(draw(st.sampled_from(forms)))


def _equal_interval(draw: Draw) -> tuple[str, str]:
    low, high = sorted(drawn_numbers(draw, 2, 2))
    brackets = draw(st.tuples(st.sampled_from("(["), st.sampled_from(")]")))
    return f"{brackets[0]}{low},{high}{brackets[1]}", interval_text(draw, low, high, *brackets, words=True)


def _near_interval(draw: Draw) -> tuple[str, str]:
    low, high = sorted(drawn_numbers(draw, 2, 2))
    opening, closing = draw(st.tuples(st.sampled_from("(["), st.sampled_from(")]")))
    other, ending = {"(": "[", "[": "("}[opening], {")": "]", "]": ")"}[closing]
    forms = [
        interval_text(draw, low, high, other, closing, words=True),
        interval_text(draw, low, high, opening, ending, words=True),
        interval_text(draw, low, high + 1, opening, closing, words=True),
        interval_text(draw, low - 1, high, opening, closing, words=True),
        f"{opening}{high},{low}{closing}",
        f"({low},\\infty)",
        f"{low}",
    ]
    return f"{opening}{low},{high}{closing}", str(draw(st.sampled_from(forms)))


def _equal_half_line(draw: Draw) -> tuple[str, str]:
    (end,) = drawn_numbers(draw, 1, 1)
    text = listed(draw, end)
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


def _near_half_line(draw: Draw) -> tuple[str, str]:
    (end,) = drawn_numbers(draw, 1, 1)
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


def _equal_union(draw: Draw) -> tuple[str, str]:
    a, b, c, d = sorted(drawn_numbers(draw, 4, 4))
    parts = [interval_text(draw, a, b, "(", "]", words=False), interval_text(draw, c, d, "[", ")", words=False)]
    return f"({a},{b}]\\cup[{c},{d})", r" \cup ".join(draw(st.permutations(parts)))


def _equal_polynomial(draw: Draw) -> tuple[str, str]:
    roots = draw(st.lists(st.integers(-9, 9), min_size=2, max_size=3))
    coefficients = [1]
    for root in roots:
        coefficients = times(coefficients, [-root, 1])
    factored = "".join(linear(root) for root in draw(st.permutations(roots)))
    return polynomial(draw, coefficients), str(
        draw(st.sampled_from([factored, polynomial(draw, coefficients), f"f(x) = {factored}"]))
    )


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


def _equal_matrix(draw: Draw) -> tuple[str, str]:
    rows, columns = draw(st.sampled_from([(2, 1), (3, 1), (2, 2), (1, 3)]))
    values = drawn_numbers(draw, rows * columns, rows * columns)
    lines = [[listed(draw, value) for value in values[row * columns : (row + 1) * columns]] for row in range(rows)]
    name = draw(st.sampled_from(["pmatrix", "bmatrix", "matrix"]))
    written = r" \\ ".join(" & ".join(map(str, values[row * columns : (row + 1) * columns])) for row in range(rows))
    answer = r"\\".join("&".join(line) for line in lines)
    return f"\\begin{{pmatrix}} {written} \\end{{pmatrix}}", f"\\begin{{{name}}}{answer}\\end{{{name}}}"


def _near_matrix(draw: Draw) -> tuple[str, str]:
    values = drawn_numbers(draw, 4, 4)
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
