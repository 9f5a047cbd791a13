"""Reads a YAML file and remembers on which line everything stands, so that every complaint can give file and line.

Scalars follow YAML 1.2's core rules: ``1e-6`` is a number (YAML 1.1, PyYAML's own, makes it text), ``no`` is text.
One addition: a bare ``inf`` is a number too, because that is how people write "no clipping". Merge keys
(``<<: *base``), which YAML 1.2 left out, work as in YAML 1.1.
"""

import contextlib
import difflib
import math
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sweep.input.errors import UserError

# A key's place in a document: mapping keys and list positions from the root.
Location = tuple[str | int, ...]

_MAXIMUM_BYTES = 1_000_000
_MAXIMUM_VALUES = 100_000


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file.

    Attributes:
        where: The key or list position that the message is about.
        message: What is wrong and what would be right.
        at_key: Point at the line of the key rather than of its value.
    """

    where: Location
    message: str
    at_key: bool = False


@dataclass
class YamlSource:
    """A YAML file's content and the lines it came from.

    Attributes:
        path: The file.
        data: Mappings, lists, text, numbers, booleans and None.
        key_lines: Line of every mapping key, counted from 1.
        value_lines: Line of every value, counted from 1.
        problems: What is wrong with the YAML itself, beyond its syntax: duplicate keys, unknown tags.
    """

    path: Path
    data: Any = None
    key_lines: dict[Location, int] = field(default_factory=dict)
    value_lines: dict[Location, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, problem: Problem) -> int:
        """The line to look at; that of the nearest enclosing value where the place itself is missing."""
        lines = self.key_lines if problem.at_key else self.value_lines
        where = problem.where
        if where in lines:
            return lines[where]
        while where and where not in self.value_lines:
            where = where[:-1]
        return self.value_lines.get(where, 1)

    def error(self, problems: list[Problem]) -> UserError:
        """All problems of the file as one message, in the order of their lines."""
        entries = sorted({(self.line(p), dotted(p.where), p.message) for p in problems})
        texts = [f"{self.path}:{line}: {key + ': ' if key else ''}{message}" for line, key, message in entries]
        if len(texts) == 1:
            return UserError(texts[0])
        return UserError("\n  ".join([f"{self.path}: {len(texts)} problems", *texts]))


def dotted(where: Location) -> str:
    """``("space", "q", 1)`` as ``space.q[1]``."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def load_yaml(path: Path) -> YamlSource:
    """Read a YAML file.

    Raises:
        UserError: There is no such file, it is not text, or it is not YAML.
    """
    text = _read(path)
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise UserError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {what}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{path}:{line}: not valid YAML: character #x{error.character:04x}") from None
    except RecursionError:
        raise UserError(f"{path}:1: not valid YAML: nested too deeply") from None
    source = YamlSource(path)
    if root is None:
        raise UserError(f"{path}:1: the file is empty")
    source.data = _Builder(source).build(root, ())
    return source


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise UserError(f"{path}: is a folder, not a file")
        if not path.exists():
            near = difflib.get_close_matches(path.name, [other.name for other in path.parent.glob("*.y*ml")], n=1)
            raise UserError(
                f"{path}: no such file" + (f"; did you mean {str(path.with_name(near[0]))!r}?" if near else "")
            )
        if not path.is_file():
            raise UserError(f"{path}: is not a regular file")
        if path.stat().st_size > _MAXIMUM_BYTES:
            raise UserError(f"{path}: is larger than {_MAXIMUM_BYTES:,} bytes, which no study file is")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 text (byte 0x{data[error.start]:02x})") from None


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's core scalars."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.?(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789iI"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


class _Builder:
    """Turns composed nodes into plain values and notes their lines."""

    def __init__(self, source: YamlSource) -> None:
        self._source = source
        self._open: list[yaml.Node] = []
        self._count = 0

    def build(self, node: yaml.Node, where: Location) -> Any:
        self._source.value_lines[where] = node.start_mark.line + 1
        with self._inside(node):
            return self._value(node, where)

    @contextlib.contextmanager
    def _inside(self, node: yaml.Node) -> Iterator[None]:
        self._count += 1
        # An alias repeats its whole anchor: a few lines can stand for billions of values, or for themselves.
        if self._count > _MAXIMUM_VALUES:
            raise UserError(f"{self._source.path}: stands for more than {_MAXIMUM_VALUES:,} values")
        if any(node is parent for parent in self._open):
            raise UserError(f"{self._source.path}:{node.start_mark.line + 1}: an alias that contains itself")
        self._open.append(node)
        try:
            yield
        finally:
            self._open.pop()

    def _value(self, node: yaml.Node, where: Location) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*where, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, where)

    def _mapping(self, node: yaml.MappingNode, where: Location, taken: Set[str] = frozenset()) -> dict[str, Any]:
        """A mapping without the keys in `taken`; what it merges counts where it says nothing itself."""
        values: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if _merges(key_node):
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._source.problems.append(Problem(where, f"line {line}: a key must be plain text"))
                continue
            key = str(key_node.value)
            if key in taken:
                continue
            place = (*where, key)
            if key in values:
                first = self._source.key_lines[place]
                self._source.key_lines[place] = line
                message = f"this key stands here for the second time; the first is on line {first}"
                self._source.problems.append(Problem(place, message, at_key=True))
                continue
            self._source.key_lines[place] = line
            values[key] = self.build(value_node, place)
        for base in merged:
            if not isinstance(base, yaml.MappingNode):
                line = base.start_mark.line + 1
                self._source.problems.append(Problem(where, f"line {line}: << takes an alias of a mapping, or several"))
                continue
            with self._inside(base):
                values |= self._mapping(base, where, taken | values.keys())
        return values

    def _scalar(self, node: yaml.Node, where: Location) -> Any:
        kind, text = node.tag.removeprefix("tag:yaml.org,2002:"), str(node.value)
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return {"true": True, "false": False}[text.lower()]
            if kind == "int":
                return int(text)
            if kind == "float":
                return _number(text)
        except (ValueError, KeyError):
            self._source.problems.append(Problem(where, f"{text!r} is not a valid {kind}"))
            return None
        if kind != "str":
            self._source.problems.append(Problem(where, f"the tag {node.tag!r} has no meaning here"))
        return text


def _merges(key: yaml.Node) -> bool:
    """Whether a key is YAML's merge key; in quotes it is text."""
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and key.style is None


def _number(text: str) -> float:
    lower = text.lower()
    if lower.endswith("inf"):
        return -math.inf if lower.startswith("-") else math.inf
    return math.nan if lower == ".nan" else float(text)
