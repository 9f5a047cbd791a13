"""Each check where the paper's tables do not lead it: other verdicts, missing fields, other people's tables."""

import math

import pytest

from reports.audit import Verdict

_BENCH = "benchmarks: [{name: M, problems: 30, samples: 16}]\n"


def _one(rows_of, text):
    (row,) = rows_of(text)
    return row


@pytest.mark.parametrize(
    ("printed", "verdict", "words"),
    [
        ('pass_at_k: "36.67%"', Verdict.AGREES, "11 right of 30 problems"),
        ('pass_at_k: "36.6%"', Verdict.IMPOSSIBLE, "10 give 33.33 %, 11 give 36.67 %"),
        ('average: "8.96%"', Verdict.AGREES, "43 right of 480 answers round to it."),
        ('average: "8.90%"', Verdict.IMPOSSIBLE, "42 give 8.750 %, 43 give 8.958 %"),
        ('average: "9%"', Verdict.AGREES, "every number with these digits is possible"),
        ('average: "100.0%"', Verdict.AGREES, "480 right of 480"),
    ],
)
def test_an_accuracy_is_a_whole_number_of_answers(rows_of, printed, verdict, words):
    row = _one(rows_of, f"{_BENCH}arms: [{{name: a}}]\naccuracies: [{{arm: a, benchmark: M, {printed}, source: s}}]\n")
    assert row.verdict is verdict
    assert words in row.explanation


@pytest.mark.parametrize(("average", "passed"), [("50.00%", "30.00%"), ("1.04%", "20.00%")])
def test_average_and_pass_at_k_that_exclude_each_other(rows_of, average, passed):
    text = f'{{arm: a, benchmark: M, average: "{average}", pass_at_k: "{passed}", source: s}}'
    rows = rows_of(f"{_BENCH}arms: [{{name: a}}]\naccuracies: [{text}]\n")
    assert [row.verdict for row in rows] == [Verdict.AGREES, Verdict.IMPOSSIBLE]
    assert "at least the average and at most 16 times it" in rows[1].explanation


def test_somebody_elses_table_with_hardly_anything_in_it(rows_of):
    """Every claim gets a row that says what the file lacks; none is held against the claim."""
    rows = rows_of("""\
benchmarks: [{name: GSM8K}]
arms: [{name: a}, {name: b, q: 1e-4}, {name: c, q: 1e-4, v: 1}]
accuracies:
  - {arm: a, benchmark: GSM8K, average: "71.3%", pass_at_k: "90%", source: T1}
  - {arm: b, benchmark: GSM8K, average: "70.1%", source: T1}
differences: [{arm: a, reference: c, benchmark: GSM8K, claim: "1.2%", source: text}]
recoveries: [{treated: c, weak: b, strong: a, benchmark: GSM8K, claim: "50%", source: text}]
tests:
  - {arm: a, reference: b, benchmark: GSM8K, z: "2.0", source: text}
  - {arm: a, reference: c, benchmark: GSM8K, p: "0.01", source: text}
gains: [{arm: b, claim: "1%", source: T2}, {arm: c, claim: "0.2%", of: mean, source: T2}]
sigmas: [{arm: b, claim: "1.0", source: T2}]
thresholds:
  - {arm: b, claim: "3.0", source: T2}
  - {arm: c, claim: "3.0", source: T2}
  - {arm: a, claim: "3.0", of: measurement_noise, source: T2}
clipping: [{arm: c, clip_fraction: "0.1%", largest_innovation: "9", source: T2}]
largest_innovations: [{arm: a, claim: "0.5", source: T2}]
""")
    assert len(rows) == 15
    assert {row.verdict for row in rows} == {Verdict.UNKNOWN}
    assert all(row.recomputed == "n/a" for row in rows)
    lacks = [row.explanation for row in rows]
    assert "The file does not say how many problems and samples GSM8K has." in lacks
    assert "The file gives no average of c on GSM8K." in lacks
    assert "The file does not give both Q and V of b." in lacks
    assert "The file does not give all of Q, V and κ of c." in lacks


def test_p_from_a_z_alone(rows_of):
    text = (
        f'{_BENCH}arms: [{{name: a}}, {{name: b}}]\ntests: [{{arm: a, reference: b, benchmark: M, z: "1.96", p: "0.05"'
    )
    z, p = rows_of(f"{text}, source: s}}]\n")
    assert (z.verdict, p.verdict) == (Verdict.UNKNOWN, Verdict.AGREES)
    assert p.value == pytest.approx(math.erfc(1.96 / math.sqrt(2)), rel=1e-9)
    assert "The claimed z of 1.96 alone" in p.explanation
    assert rows_of(f"{text}, sided: one, source: s}}]\n")[1].verdict is Verdict.DIFFERS


@pytest.mark.parametrize(("reported", "verdict"), [("-1.00", "differs"), ("3.25", "agrees"), ("-3.25", "differs")])
def test_the_sign_of_z(rows_of, reported, verdict):
    """Papers print |z| for a loss; a negative number for a gain is another matter."""
    averages = "".join(
        f'  - {{arm: {arm}, benchmark: M, average: "{average}", source: s}}\n'
        for arm, average in (("a", "40.00%"), ("b", "30.00%"))
    )
    head = f"{_BENCH}arms: [{{name: a}}, {{name: b}}]\naccuracies:\n{averages}"
    row = rows_of(f'{head}tests: [{{arm: a, reference: b, benchmark: M, z: "{reported}", source: s}}]\n')[0]
    assert row.verdict == verdict
    if reported == "3.25":
        reverse = rows_of(f'{head}tests: [{{arm: b, reference: a, benchmark: M, z: "{reported}", source: s}}]\n')[0]
        assert (reverse.verdict, reverse.value) == (Verdict.AGREES, pytest.approx(row.value))
    else:
        assert "No number of answers gives the claimed sign" in row.explanation


@pytest.mark.parametrize(
    ("arm", "gain", "verdict", "words"),
    [
        ("q: 0.05, v: 1", 'claim: "20%"', Verdict.AGREES, "The steady state"),
        ("q: 0.05, v: 1", 'claim: "21%", of: mean', Verdict.DIFFERS, "No token and no response length gives it"),
        ("q: 0.05, v: 1, p0: 0", 'claim: "21%"', Verdict.IMPOSSIBLE, "never leaves that range (with P0 = 0)."),
        ("q: 0.05, v: 1", 'claim: "21%"', Verdict.DIFFERS, "A start from P0 > 0 would give other gains"),
        ("q: 0.05, v: 1", 'claim: "19%", of: mean', Verdict.UNKNOWN, "the mean gain if responses had 34 to 99 tokens"),
        ("q: 0.05, v: 1, response_length: 50", 'claim: "19%"', Verdict.AGREES, "responses that all have 50 tokens"),
        ("q: 0.05, v: 1, response_length: 50", 'claim: "17%"', Verdict.DIFFERS, "is 19.0 %"),
        ("q: 0.05, v: 1", 'claim: "4.8%", token: 1', Verdict.AGREES, "the gain of token 1 is 4.76 %"),
        ("q: 0.05, v: 1", 'claim: "7.0%"', Verdict.DIFFERS, "It lies between the gains of two tokens"),
        ("q: 0, v: 1, p0: 0", 'claim: "0%"', Verdict.AGREES, "The steady state"),
        ("q: 0, v: 1, p0: 1", 'claim: "50%", token: 1', Verdict.AGREES, "with P0 = 1"),
    ],
)
def test_gains_of_all_kinds(rows_of, arm, gain, verdict, words):
    row = _one(rows_of, f"arms: [{{name: a, {arm}}}]\ngains: [{{arm: a, {gain}, source: s}}]\n")
    assert words in row.explanation
    assert row.verdict is verdict


@pytest.mark.parametrize(
    ("arm", "threshold", "verdict", "words"),
    [
        ("kappa: 3", 'claim: "3.154"', Verdict.AGREES, "is 3.1537"),
        ("kappa: 3", 'claim: "3.0"', Verdict.DIFFERS, "It is κ√V = 3.00, which leaves out the variance of the state"),
        ("kappa: 3, p0: 0", 'claim: "3.5"', Verdict.IMPOSSIBLE, "No token has it"),
        ("kappa: 3", 'claim: "3.06", token: 4', Verdict.AGREES, "at token 4"),
        ("kappa: 3", 'claim: "3.06", of: steady_state', Verdict.DIFFERS, "that of token 4"),
        ("kappa: inf", 'claim: "3.06"', Verdict.IMPOSSIBLE, "it has no threshold"),
        ("kappa: inf", 'claim: "3.06", of: measurement_noise', Verdict.IMPOSSIBLE, "it has no threshold"),
    ],
)
def test_thresholds_of_all_kinds(rows_of, arm, threshold, verdict, words):
    text = f"arms: [{{name: a, q: 1e-2, v: 1, {arm}}}]\nthresholds: [{{arm: a, {threshold}, source: s}}]\n"
    row = _one(rows_of, text)
    assert words in row.explanation
    assert row.verdict is verdict


@pytest.mark.parametrize(
    ("arm", "seen", "verdict", "words"),
    [
        ("kappa: inf", 'clip_fraction: "1%"', Verdict.IMPOSSIBLE, "clips nothing"),
        ("kappa: inf", 'clip_fraction: "0.0"', Verdict.AGREES, "clips nothing"),
        ("kappa: 3", 'clip_fraction: "< 1e-6", largest_innovation: "2.9"', Verdict.AGREES, "nothing is clipped"),
        ("kappa: 3", 'clip_fraction: "1%", largest_innovation: "0"', Verdict.IMPOSSIBLE, "exclude each other"),
        ("kappa: 3", 'clip_fraction: "1%", largest_innovation: "3.1"', Verdict.UNKNOWN, "between 3.015 and 3.154"),
        ("kappa: 3", 'clip_fraction: "0.0", largest_innovation: "9.0"', Verdict.UNKNOWN, "only all innovations"),
        (
            "kappa: 3",
            'clip_fraction: "0.000%", largest_innovation: "9.0", tokens: 100',
            Verdict.DIFFERS,
            "at least 1 of 100",
        ),
        (
            "kappa: 3, p0: 0",
            'clip_fraction: "0.000%", largest_innovation: "9.0", tokens: 100',
            Verdict.IMPOSSIBLE,
            "at least 1 of 100",
        ),
        ("kappa: 3", 'clip_fraction: "1.2e-7", tokens: 1000000', Verdict.IMPOSSIBLE, "it would be 0.12 tokens"),
        ("kappa: 3", 'clip_fraction: "1.2e-7", tokens: 8388608', Verdict.UNKNOWN, "no largest innovation"),
    ],
)
def test_clip_fractions_of_all_kinds(rows_of, arm, seen, verdict, words):
    text = f"arms: [{{name: a, q: 1e-2, v: 1, {arm}}}]\nclipping: [{{arm: a, {seen}, source: s}}]\n"
    row = _one(rows_of, text)
    assert words in row.explanation
    assert row.verdict is verdict


def test_a_maximum_of_a_run_below_that_of_a_step(rows_of):
    text = 'arms: [{name: a}]\nclipping: [{arm: a, step: 5, largest_innovation: "0.556", source: T2}]\n'
    row = _one(rows_of, f'{text}largest_innovations: [{{arm: a, claim: "~0.5", source: s}}]\n')
    assert row.verdict is Verdict.IMPOSSIBLE
    assert "A single step has more: 0.556 (T2, step 5)" in row.explanation


@pytest.mark.parametrize(
    ("averages", "direction", "verdict", "words"),
    [
        (("40.00%", "30.00%"), "higher", Verdict.AGREES, "z = 3.25"),
        (("40.00%", "30.00%"), "lower", Verdict.DIFFERS, "z = 3.25"),
        (("40%", "40%"), "lower", Verdict.UNKNOWN, "no evidence"),
        (("40.0%", None), "lower", Verdict.UNKNOWN, "The file gives no average of b on M."),
    ],
)
def test_directions(rows_of, averages, direction, verdict, words):
    lines = "".join(
        f'  - {{arm: {arm}, benchmark: M, average: "{average}", source: s}}\n'
        for arm, average in zip("ab", averages, strict=True)
        if average
    )
    claim = f"{{arm: a, reference: b, benchmark: M, direction: {direction}, source: s}}"
    row = rows_of(f"{_BENCH}arms: [{{name: a}}, {{name: b}}]\naccuracies:\n{lines}tests: [{claim}]\n")[0]
    assert row.verdict is verdict
    assert words in row.explanation


@pytest.mark.parametrize(
    ("seen", "verdicts"),
    [
        ('{arm: a, step: 1, kurtosis: "20.1", source: s}, {arm: a, step: 2, kurtosis: "30.2", source: s}', "??"),
        ('{arm: a, step: 1, kurtosis: "17.2", source: s}, {arm: a, step: 2, kurtosis: "31.8", source: s}', "aa"),
        ('{arm: a, step: 1, kurtosis: "12.0", source: s}, {arm: a, step: 2, kurtosis: "90.0", source: s}', "xx"),
        ('{arm: a, step: 1, clip_fraction: "0", source: s}', "??"),
    ],
)
def test_a_range_of_kurtosis_holds_every_step(rows_of, seen, verdicts):
    rows = rows_of(
        f'arms: [{{name: a}}]\nclipping: [{seen}]\nkurtoses: [{{arm: a, lowest: "17", highest: "32", source: s}}]\n'
    )
    found = [row.verdict for row in rows if row.kind == "kurtoses"]
    meaning = {"?": Verdict.UNKNOWN, "a": Verdict.AGREES, "x": Verdict.IMPOSSIBLE}
    assert found == [meaning[letter] for letter in verdicts]


def test_one_variance_needs_three_claims_of_two_arms(rows_of):
    arms = "arms: [{name: a, q: 1e-2, v: 1, kappa: 3}, {name: b, q: 1e-2, v: 4, kappa: 3}]\n"
    # sqrt(P + V) and P/(P + V) for P = 0.5.
    claims = (
        'sigmas: [{arm: a, claim: "1.225", source: s}, {arm: b, claim: "2.121", source: s}]\n'
        'gains: [{arm: a, claim: "33.3%", source: s}]\n'
    )
    assert all("not updated, P = 0.499 to 0.5" in row.explanation for row in rows_of(arms + claims))
    assert "not updated" not in "".join(row.explanation for row in rows_of(arms + claims.split("\n")[0] + "\n"))


def test_a_runs_maximum_stands_for_that_of_a_step(rows_of):
    text = (
        "arms: [{name: a, q: 1e-2, v: 1, kappa: 3}]\n"
        'clipping: [{arm: a, step: 1, clip_fraction: "1%", source: s}]\n'
        'largest_innovations: [{arm: a, claim: "X", source: s}]\n'
    )
    assert rows_of(text.replace("X", "2.9"))[0].verdict is Verdict.IMPOSSIBLE
    # Whether the run's largest is of that step nobody knows.
    assert rows_of(text.replace("X", "9.0"))[0].verdict is Verdict.UNKNOWN


def test_a_recovery_of_no_gap_is_not_recomputed(rows_of):
    shares = (("a", "50.0%"), ("b", "50.0%"), ("c", "51.0%"))
    lines = "".join(f'  - {{arm: {a}, benchmark: M, average: "{x}", source: s}}\n' for a, x in shares)
    text = f"benchmarks: [{{name: M}}]\narms: [{{name: a}}, {{name: b}}, {{name: c}}]\naccuracies:\n{lines}"
    recovery = '{treated: c, weak: b, strong: a, benchmark: M, claim: "10%", source: s}'
    row = rows_of(f"{text}recoveries: [{recovery}]\n")[0]
    assert row.verdict is Verdict.UNKNOWN
    assert "there is no gap to share" in row.explanation


def test_an_arm_that_lies_where_a_statement_says_that_none_can(rows_of):
    statement = "incompatible: [{statement: impossible, gain: 0.01, threshold: 0.5, kappa: 1, source: s}]\n"
    arms = "arms: [{name: low, q: 1e-8, v: 0.00999, kappa: 3}, {name: high, q: 1, v: 1, kappa: 3}]\n"
    assert "Of the file's own arms, low lies there." in _one(rows_of, arms + statement).explanation
    assert (
        "No arm of the file has a threshold."
        in _one(rows_of, "arms: [{name: a, kappa: inf}]\n" + statement).explanation
    )
