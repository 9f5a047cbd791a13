import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.input.errors import UserError
from sweep.input.yaml_source import Problem, dotted, load_yaml


def _load(tmp_path: Path, text: str):
    path = tmp_path / "file.yaml"
    path.write_bytes(text.encode())
    return load_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("1E6", 1e6),
        ("1.5e+3", 1500.0),
        (".5", 0.5),
        ("-3", -3),
        ("010", 10),
        ("inf", math.inf),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("+Inf", math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("e-6", "e-6"),
        ("infinite", "infinite"),
        ("'1e-6'", "1e-6"),
        ('"inf"', "inf"),
        ("!!float 3", 3.0),
        ("!!str 3", "3"),
    ],
)
def test_scalars_follow_yaml_1_2_and_read_inf_as_a_number(tmp_path, text, value):
    assert _load(tmp_path, f"key: {text}\n").data == {"key": value}
    read = _load(tmp_path, f"key: {text}\n").data["key"]
    assert type(read) is type(value)


def test_nan_is_a_number(tmp_path):
    assert math.isnan(_load(tmp_path, "key: .nan").data["key"])


@given(value=st.floats(allow_nan=False))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_every_float_that_python_prints_reads_back(tmp_path_factory, value):
    assert _load(tmp_path_factory.mktemp("y"), f"key: {value!r}\n").data["key"] == value


def test_lines_of_keys_and_values(tmp_path):
    source = _load(tmp_path, "# one\na:\n  b: [1,\n      2]\n\nc:\n  - x\n  - y: 3\n")
    assert source.key_lines == {("a",): 2, ("a", "b"): 3, ("c",): 6, ("c", 1, "y"): 8}
    assert source.value_lines[("a", "b", 1)] == 4
    assert source.value_lines[("c", 0)] == 7
    assert source.line(Problem(("c", 1, "missing"), "")) == 8
    assert source.line(Problem(("c", 1, "y"), "", at_key=True)) == 8


def test_byte_order_mark_and_windows_line_ends_are_no_problem(tmp_path):
    source = _load(tmp_path, "\ufeffa: 1\r\nb: 2\r\n")
    assert source.data == {"a": 1, "b": 2}
    assert source.key_lines == {("a",): 1, ("b",): 2}


def test_duplicate_keys_are_found_at_any_depth_with_both_lines(tmp_path):
    source = _load(tmp_path, "a:\n  - b: 1\n    c: 2\n    b: 3\n")
    assert [(p.where, source.line(p)) for p in source.problems] == [(("a", 0, "b"), 4)]
    assert "first is on line 2" in source.problems[0].message
    assert source.data == {"a": [{"b": 1, "c": 2}]}


def test_anchors_are_understood(tmp_path):
    assert _load(tmp_path, "a: &x [1, 2]\nb: *x\n").data == {"a": [1, 2], "b": [1, 2]}


def test_merge_keys_fill_in_what_a_mapping_does_not_say(tmp_path):
    text = """\
base: &base {q: 1, v: 2,
  kappa: 3}
other: &other
  v: 4
  p0: {a: 5}
one:
  <<: *base
  q: 6
several:
  v: 7
  <<: [*other, *base]
text: {"<<": 8}
"""
    source = _load(tmp_path, text)
    assert source.data["one"] == {"q": 6, "v": 2, "kappa": 3}
    assert source.data["several"] == {"v": 7, "p0": {"a": 5}, "q": 1, "kappa": 3}
    assert source.data["text"] == {"<<": 8}
    assert source.problems == []
    # An error is on the line on which the value stands.
    lines = {where: source.line(Problem(where, "")) for where in (("one", "q"), ("one", "kappa"), ("several", "v"))}
    assert lines == {("one", "q"): 8, ("one", "kappa"): 2, ("several", "v"): 10}
    assert source.line(Problem(("several", "p0", "a"), "", at_key=True)) == 5
    assert source.line(Problem(("one", "missing"), "")) == 7


def test_what_a_merge_key_cannot_take_is_a_problem(tmp_path):
    source = _load(tmp_path, "a: &a [1]\nb:\n  <<: *a\nc:\n  <<: 2\n")
    assert [(problem.where, problem.message) for problem in source.problems] == [
        (("b",), "line 1: << takes an alias of a mapping, or several"),
        (("c",), "line 5: << takes an alias of a mapping, or several"),
    ]
    lines = ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 12))]
    with pytest.raises(UserError, match="stands for more than"):
        _load(tmp_path, "\n".join(lines))


def test_unknown_tags_and_wrong_tags_are_problems_and_run_nothing(tmp_path):
    source = _load(tmp_path, "a: !!python/name:os.system x\nb: !!int three\n")
    assert [source.line(problem) for problem in source.problems] == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1: the file is empty"),
        (b"# only a comment\n\n", "1: the file is empty"),
        (b"a: 1\nb: [1, 2\n", "not valid YAML"),
        (b"a: 1\n\tb: 2\n", "2: not valid YAML"),
        (b"a: 1\n---\nb: 2\n", "2: not valid YAML"),
        (b"a: 1\nb: \xff\xfe\n", "2: not UTF-8 text (byte 0xff)"),
        (b"a: 1\nb: \x00\n", "2: not valid YAML: character #x0000"),
        (b"a: *nowhere\n", "1: not valid YAML"),
        (b"a: &x [*x]\n", "1: an alias that contains itself"),
        (b"a: &x {<<: *x}\n", "1: an alias that contains itself"),
        (b"[" * 5000, "not valid YAML: nested too deeply"),
        (b"a: 1\nb: 2\n? [x]\n: 3\n- 4\n", "not valid YAML"),
    ],
)
def test_what_is_not_yaml_is_one_message_with_file_and_line(tmp_path, content, message):
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_few_lines_cannot_stand_for_billions_of_values(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(UserError, match="stands for more than"):
        _load(tmp_path, "\n".join(lines))


def test_missing_files_folders_and_huge_files(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_yaml(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match="is a folder"):
        load_yaml(tmp_path)
    (tmp_path / "big.yaml").write_bytes(b"a" * 1_000_001)
    with pytest.raises(UserError, match="larger than"):
        load_yaml(tmp_path / "big.yaml")
    with pytest.raises(UserError, match="not a regular file"):
        load_yaml(Path("/dev/zero"))


def test_dotted_writes_list_positions_in_brackets():
    assert dotted(("space", "arms", 0, "q")) == "space.arms[0].q"
    assert dotted(()) == ""


def test_several_problems_are_one_message_in_the_order_of_lines(tmp_path):
    source = _load(tmp_path, "a: 1\nb: 2\n")
    text = str(source.error([Problem(("b",), "second"), Problem(("a",), "first")]))
    assert text == f"{source.path}: 2 problems\n  {source.path}:1: a: first\n  {source.path}:2: b: second"
