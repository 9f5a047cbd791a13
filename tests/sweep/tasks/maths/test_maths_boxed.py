import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.tasks.maths.boxed import MAX_ANSWER_CHARACTERS, last_boxed


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed {42}", "42"),
        (r"\boxed{ \frac{1}{2} } apples", r"\frac{1}{2}"),
        (r"\boxed{1}, so the other is \boxed{2}", "2"),
        (r"\boxed{1} and \boxed{2}", r"1 \text{ and } 2"),
        (r"$\boxed{1}$, $\boxed{2}$ or $\boxed{3}$", r"1, 2 \text{ or } 3"),
        (r"\boxed{1} \boxed{2} \boxed{3}", "1, 2, 3"),
        (r"\boxed{7}" * 40, "7"),
        (r"$\boxed{7}$ and $\boxed{7}$", "7"),
        (r"\boxed{7}. I have put it into \boxed{}.", "7"),
        (r"\boxed{7} is what \boxed asks for", "7"),
        (r"\boxed{" + "1" * 400 + r"} \boxed{" + "2" * 400 + "}", None),
        (r"\boxed{x = \boxed{5}}", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{1} but then \boxed{2", None),
        (r"\boxed{}", None),
        (r"\boxed{  }", None),
        (r"\boxed", None),
        (r"\boxed 5", None),
        ("the answer is 42", None),
        ("", None),
        ("\\boxed{" + "1" * MAX_ANSWER_CHARACTERS + "}", "1" * MAX_ANSWER_CHARACTERS),
        ("\\boxed{" + "1" * (MAX_ANSWER_CHARACTERS + 1) + "}", None),
    ],
)
def test_the_last_box_counts(text, answer):
    assert last_boxed(text) == answer


balanced = st.recursive(
    st.text(alphabet="12x+ ", max_size=4), lambda inner: st.builds("{{{}}}{}".format, inner, inner), max_leaves=12
)


@given(before=st.text(max_size=40), inside=balanced, after=st.text(alphabet="abc {}$.", max_size=40))
@settings(derandomize=True, deadline=None, max_examples=80)
def test_what_was_boxed_last_is_found_whatever_stands_around_it(before, inside, after):
    assert last_boxed(f"{before}\\boxed{{{inside}}}{after}") == (inside.strip() or None)


@given(st.text(alphabet="\\boxed{} 1", max_size=60))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_any_text_gives_none_or_a_part_of_itself(text):
    answer = last_boxed(text)
    assert answer is None or answer == answer.strip() != ""
    assert answer is None or all(part in text for part in re.split(r", | \\\\text\{ (?:and|or) \} ", answer))


@pytest.mark.parametrize("unit", ["\\boxed{", "{", "\\", "\\boxed", "}", "\\boxed{1}", " "])
def test_megabytes_are_read_once(unit):
    text = unit * (8_000_000 // len(unit))
    assert last_boxed(text) in (None, "1")
    assert last_boxed(text + r"\boxed{7}" + "." * 1_000_000) in ("7", None, ", ".join(["1"] * 19 + ["7"]))
