"""The documentation: it builds without a warning, and what it tells people to type exists."""

import re
import shlex
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort
from typer.main import get_command

from sweep.commands.cli import app
from sweep.study.study import load_study

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _blocks(path: Path, kind: str) -> list[str]:
    return [text for found, text in _FENCE.findall(path.read_text(encoding="utf-8")) if found == kind]


def test_it_builds_without_warnings_and_every_link_leads_somewhere(tmp_path):
    config = load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path / "site"))
    build(config)  # strict: it raises after any warning
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "tour.html", "reference/commands.html", "reference/study-file.html"} <= pages
    assert not any(page.startswith("_build") for page in pages)
    # Generated from the program: a key, a command and a function that nobody wrote into a page.
    for page, text in (("commands", "--retry-failed"), ("study-file", "rho0"), ("python", "filter_log_ratios")):
        assert text in (tmp_path / "site" / "reference" / f"{page}.html").read_text()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_that_is_shown_exists_with_its_options(path):
    group = get_command(app)
    shown = [line for block in _blocks(path, "bash") for line in block.splitlines() if "iskpo-sweep " in line]
    for line in shown:
        words = shlex.split(line.split("iskpo-sweep ", 1)[1], comments=True)
        known = group
        while words and not words[0].startswith("-") and hasattr(known, "commands"):
            assert words[0] in known.commands, line
            known = known.commands[words.pop(0)]
        options = {option for parameter in known.params for option in parameter.opts}
        assert {word for word in words if re.match("--?[a-z]", word)} <= options, line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_study_that_is_shown_is_valid(path, tmp_path):
    own = [text for text in _blocks(path, "python") if text.startswith("# my_space.py")]
    for text in own:
        (tmp_path / "my_space.py").write_text(text)
    for number, text in enumerate(block for block in _blocks(path, "yaml") if block.startswith("name:")):
        study = tmp_path / f"shown_{number}.yaml"
        study.write_text(text)
        assert load_study(study).arms


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_python_that_is_shown_is_python_and_needs_no_run_where_it_can_do_without(path):
    for text in _blocks(path, "python"):
        code = compile(text, str(path), "exec")
        if "output/" not in text and "my_space" not in text:
            exec(code, {})


def test_every_page_and_picture_is_used():
    text = "".join(page.read_text() for page in PAGES)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name}" in text
        assert picture.stat().st_size < 100_000


def test_a_link_that_leads_nowhere_is_a_warning(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](gone.md) and [inside](#nowhere)")
    text = (ROOT / "mkdocs.yml").read_text()
    shown = text[: text.index("hooks:")] + text[text.index("validation:") : text.index("nav:")]
    (tmp_path / "mkdocs.yml").write_text(shown)
    with pytest.raises(Abort, match="2 warnings"):
        build(load_config(str(tmp_path / "mkdocs.yml"), strict=True, site_dir=str(tmp_path / "site")))
