"""Files that are wrong: each message names file, line, key and the nearest valid one."""

import pytest

from reports.audit import load_reported
from sweep.input.errors import UserError

_VALID = """\
title: A table
benchmarks:
  - {name: M, problems: 500, samples: 16}
arms:
  - {name: strong, q: 1e-6, v: 1, kappa: inf}
  - {name: weak, q: 1e-2, v: 1, kappa: 3}
accuracies:
  - {arm: strong, benchmark: M, average: "59.60%", source: T1}
  - {arm: weak, benchmark: M, average: "47.81%", source: T1}
tests:
  - {arm: weak, reference: strong, benchmark: M, z: "1.4", source: T2}
gains:
  - arm: weak
    claim: "~2%"
    source: T3
"""


def _message(tmp_path, text):
    path = tmp_path / "table.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_reported(path)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(f"{path}:")
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("gains:", "gain:", "12: gain: unknown key; did you mean 'gains'?"),
        ("    claim:", "    clame:", "14: gains[0].clame: unknown key; did you mean 'claim'?"),
        ("z: ", "zz: ", "11: tests[0].zz: unknown key"),
        ("    source: T3\n", "", "13: gains[0].source: this key is missing"),
        ("arm: weak\n", "arm: weka\n", "13: gains[0].arm: unknown arm 'weka'; did you mean 'weak'?"),
        ("reference: strong", "reference: x", "11: tests[0].reference: unknown arm 'x'; valid: strong, weak"),
        ("benchmark: M, z", "benchmark: N, z", "11: tests[0].benchmark: unknown benchmark 'N'; valid: M"),
        ('"~2%"', "2", "14: gains[0].claim: must be quoted as printed, such as '59.60%' or '~1.4': its digits say"),
        ('"~2%"', "2.0", "14: gains[0].claim: must be quoted as printed"),
        ('"~2%"', '"two"', "14: gains[0].claim: must be a number as printed, such as '59.60%', '~1.4' or '< 1e-6'"),
        ('"~2%"', '"2"', "14: gains[0].claim: must be from 0 to 1, or per cent with its sign, such as '59.60%'"),
        ('"59.60%"', '"59.60"', "8: accuracies[0].average: must be from 0 to 1, or per cent with its sign"),
        ('"1.4"', '"1e999"', "11: tests[0].z: must be a number that float64 can hold"),
        ("v: 1, kappa: 3", "v: 0, kappa: 3", "6: arms[1].v: must be > 0, got 0"),
        ("q: 1e-2, v: 1", "q: 1e-2, v: 1e-300", "6: arms[1].q: q / v is outside 1e-30 to 1e+15"),
        ("q: 1e-2, v: 1", "q: 1e-2, v: 1, p0: 1e20", "6: arms[1].p0: p0 / v is outside 0 to 1e+15"),
        ("kappa: 3", "kappa: 0", "6: arms[1].kappa: must be > 0 (.inf for no clipping), got 0"),
        ("problems: 500", "problems: 0", "3: benchmarks[0].problems: must be >= 1, got 0"),
        ("name: weak", "name: strong", "6: arms[1]: strong stands here for the second time; the first is arms[0]"),
        ("{arm: weak, benchmark", "{arm: strong, benchmark", "9: accuracies[1]: strong on M stands here"),
        (', average: "47.81%"', "", "9: accuracies[1]: needs at least one of average, pass_at_k"),
        (', z: "1.4"', "", "11: tests[0]: needs at least one of z, p, direction"),
        ("    source: T3", "    of: late\n    source: T3", "15: gains[0].of: unknown value 'late'"),
        ("    source: T3", "    of: mean\n    token: 2\n    source: T3", "16: gains[0].token: leave out of or token"),
        ("arms:\n", "arms: 3\nx:\n", "4: arms: must be a list, for example [3]"),
        ("title: A table", "title: [", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, expected):
    assert old in _VALID
    assert expected in _message(tmp_path, _VALID.replace(old, new, 1))


def test_the_valid_file_is_valid(tmp_path):
    path = tmp_path / "table.yaml"
    path.write_text(_VALID, encoding="utf-8")
    assert load_reported(path).title == "A table"


def test_all_problems_are_named_at_once(tmp_path):
    message = _message(tmp_path, _VALID.replace("arm: weak\n", "arm: weka\n").replace("reference: s", "reference: z"))
    assert "2 problems" in message
    assert "11: tests[0].reference" in message
    assert "13: gains[0].arm" in message


def test_a_file_without_claims_or_arms_says_what_it_lacks(tmp_path):
    assert "holds no claim to check; add one of tests, recoveries" in _message(tmp_path, "title: A table\n")
    text = 'title: A table\ngains:\n  - {arm: a, claim: "2%", source: s}\n'
    assert "3: gains[0].arm: unknown arm 'a'; the file has no arms" in _message(tmp_path, text)
