"""The rules of grading: disputed pairs, one value in many notations, values that look alike, and attacks."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.grading_pairs import equal_pairs, near_misses
from sweep.tasks.maths.answers.equivalence import compare
from sweep.tasks.maths.answers.interpret import read
from sweep.tasks.maths.answers.notation import clean

_PROJECT = Path(__file__).resolve().parents[4]
_PAIRS = Path(__file__).with_name("disputed_pairs.txt")


def disputed_pairs() -> list[tuple[str, bool, str, str]]:
    """Rule, verdict, right answer and answer of each line."""
    rows, rule = [], ""
    for line in _PAIRS.read_text(encoding="utf-8").split("\n"):
        if line.startswith("["):
            rule = line[1 : line.index("]")]
        elif line and not line.startswith("#"):
            truth, answer = line[2:].split(" || ")
            rows.append((rule, line[0] == "+", truth, answer))
    return rows


def test_disputed_pairs_are_judged_as_the_rules_say():
    rows = disputed_pairs()
    assert len(rows) >= 300
    assert len({rule for rule, *_ in rows}) >= 15
    wrong = [
        (rule, truth, answer, compare(answer, truth))
        for rule, right, truth, answer in rows
        if compare(answer, truth).right != right
    ]
    assert wrong == []


def test_every_rule_of_a_disputed_pair_stands_in_the_documentation():
    page = (_PROJECT / "docs" / "grading.md").read_text(encoding="utf-8")
    rules = {rule for rule, *_ in disputed_pairs()}
    assert {rule for rule in rules if f"**{rule}**" not in page} == set()


@pytest.mark.parametrize("truth", sorted({truth for _, _, truth, _ in disputed_pairs()}))
def test_every_right_answer_is_right_for_itself_in_its_spellings(truth):
    for answer in (
        truth,
        f"${truth}$",
        f"\\({truth}\\)",
        f"{truth}.",
        f" {truth} ",
        truth.replace(r"\frac", r"\dfrac"),
    ):
        if truth.startswith("$") or (answer != truth and "$" in truth):
            continue
        assert compare(answer, truth).right, answer


def _judge(strategy, *, examples: int, right: bool) -> tuple[int, list]:
    """How many distinct pairs were drawn, and those that were judged otherwise."""
    pairs = {}

    @seed(20261126)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(pair):
        pairs[pair] = None

    draw()
    return len(pairs), [
        (*pair, compare(pair[2], pair[1]).rule) for pair in pairs if compare(pair[2], pair[1]).right != right
    ]


@pytest.mark.parametrize("right", [True, False])
def test_generated_pairs_are_judged_by_their_values(right):
    count, wrong = _judge(equal_pairs() if right else near_misses(), examples=400, right=right)
    assert count > 200
    assert wrong == []


@pytest.mark.slow
def test_twenty_thousand_generated_pairs_of_each_kind():
    equal, refused = _judge(equal_pairs(), examples=45_000, right=True)
    near, accepted = _judge(near_misses(), examples=45_000, right=False)
    assert equal >= 20_000
    assert near >= 20_000
    assert accepted == []
    assert len(refused) <= 0.005 * equal, Counter(kind for kind, *_ in refused)


ATTACKS = [
    "", " ", "answer", "x", "the answer", "?", "1..100", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10", "1 or 2 or 3 or 5",
    r"\infty", r"(-\infty, \infty)", r"\mathbb{R}", "x = x", "5 = x = 6", "0 = 0", "any number", "5?", "5 or 6",
    "5 6", r"5\quad 6", r"5 \\ 6", "5 & 6", "5 | 6", r"\{5, 6\}", "[5, 6]", "(5, 6)", r"5 \pm 1", "5x^0 + y", "0/0",
    r"\frac{0}{0}", "nan", "NaN", "None", "True", "__import__('os')", "5; 6", "5\u20286", "5 and 6", "not 5",
    r"\text{5 or 6}", r"\ne 5", r"\neq 5", "x \\ge 5", "5k, k \\in \\mathbb{Z}", "What is 2 + 3?", "5!", "5_6", "5%%",
    "5.0.0", "5,5", "5e5", "55", "5..", "5 5", "V", "5^\\infty", r"\boxed{5} \boxed{6}", "5 < x",
    r"5\text{ thousand}", r"\sqrt{5}", r"\frac{5}{2}", "-5", "5i", "0.5", "50\\%", "5.0001",
]  # fmt: skip


@pytest.mark.parametrize("answer", ATTACKS)
def test_nothing_else_is_taken_for_five(answer):
    if answer == "5..":  # a full stop too many
        assert compare(answer, "5").right
    else:
        assert not compare(answer, "5").right
        assert not compare("5", answer).right


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (r"$\left( 3,\, \dfrac{\pi}{2} \right)$", "( 3,\u2009 \\frac{\\pi}{2} )"),
        ("½", r"\frac{1}{2}"),
        ("x ≤ 5", r"x \le 5"),
        ("12,\\!345", "12\u201a345"),
        (r"\text{ 5 cm }", "5 cm"),
        (r"\text{Alice and Bob}", r"\text{Alice} \and \text{Bob}"),
        ("The final answer is: 7.", "7"),
        (r"\color{red}{7}", "{7}"),
    ],
)
def test_one_spelling(text, cleaned):
    assert re.sub(" +", " ", clean(text)) == cleaned


@pytest.mark.parametrize("depth", [10, 1000])
def test_nesting_is_bounded(depth):
    text = "(" * depth + "1" + ")" * depth
    assert (read(text) is None) == (depth > 60)
    assert (read(r"\frac{1}{" * depth + "2" + "}" * depth) is None) == (depth > 60)


def test_verdicts_are_symmetric_but_for_what_is_asked():
    """An equation must be solved, and a choice may have its content behind it, on the answer's side alone."""
    for rule, right, truth, answer in disputed_pairs():
        if rule not in ("equations", "choices", "lists"):
            assert compare(truth, answer).right == right, (truth, answer)
