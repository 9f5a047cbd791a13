"""Arms whose Q and V are those that an earlier study's log ratios ask for."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sweep.input.errors import UserError
from sweep.search_spaces.own import own_files
from sweep.store.resumption import keep_own_files
from sweep.study.study import Study, load_study

_TABLE = """arm,update,tokens,gain,q,v
strong,0,100,,,
strong,1,100,0.1,2e-4,0.02
strong,,200,0.03,1.2345678901234567e-05,0.0123
grpo,0,100,0.5,3e-3,0
still,,200,,,
"""
_STUDY = """name: s
steps: 1
space:
  kind: arms
  traces: earlier
  arms:
    - {name: a, fitted: strong, kappa: 3}
"""


@pytest.fixture
def write(write_study: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A study file beside an earlier study with a table."""
    folder = tmp_path / "earlier" / "report" / "data"
    folder.mkdir(parents=True)
    (folder / "filter_model.csv").write_text(_TABLE, encoding="utf-8")

    def write(old: str = "", new: str = "") -> Path:
        return write_study(_STUDY, replace={old: new} if old else {})

    return write


def test_q_and_v_are_the_tables_of_all_updates_together(write: Callable[..., Path]) -> None:
    (arm,) = load_study(write()).arms
    assert (arm.q, arm.v, arm.kappa) == (1.2345678901234567e-05, 0.0123, 3.0)
    assert arm.problems() == []
    # An arm with one update has no row for all; no noise at all is the limit of ever less.
    (only,) = load_study(write("fitted: strong", "fitted: grpo")).arms
    assert (only.q, only.v) == (3e-3, 3e-12)
    assert only.predicted_gain == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fitted: strong", "fitted: stron", r":7: space.arms\[0\].fitted: .* no arm 'stron'; did you mean 'strong'"),
        ("fitted: strong", "fitted: still", r":7: space.arms\[0\].fitted: log ratios of still have not moved"),
        ("fitted: strong", "fitted: strong, q: 1e-6", r"space.arms\[0\].fitted: it says q and v: leave q out"),
        ("fitted: strong", "fitted: strong, loss: grpo", r"space.arms\[0\].fitted: the loss grpo has no Kalman filter"),
        ("fitted: strong", "q: 1e-6, v: 1", r":5: space.traces: no arm says fitted: leave this key out"),
        ("traces: earlier", "traces: other", r":5: space.traces: other has no report with filter_model.csv: run iskpo"),
        ("  traces: earlier\n", "", r"space.arms\[0\].fitted: traces is missing beside the list of arms"),
        ("traces: earlier", "trace: earlier", r"space.arms\[0\].fitted: traces is missing"),
    ],
)
def test_what_cannot_be_fitted_is_said_with_its_place(
    write: Callable[..., Path], old: str, new: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load_study(write(old, new))


def test_a_run_keeps_the_table_and_its_arms(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write()
    study, output = load_study(path), tmp_path / "output"
    output.mkdir()
    shutil.copyfile(path, output / "study.yaml")
    keep_own_files(study_file=path, study=study, output=output)
    # The earlier study is gone, or its report was written anew.
    shutil.rmtree(tmp_path / "earlier")
    again = load_study(output / "study.yaml", begun=True)
    assert again == study
    assert again.arms == study.arms
    assert own_files(space=again.space, folder=output) == [output / "filter_model.csv"]
    changed = _TABLE.replace("0.0123", "0.0124")
    (output / "filter_model.csv").write_text(changed, encoding="utf-8")
    assert load_study(output / "study.yaml", begun=True) != study


def test_other_spaces_keep_nothing() -> None:
    space = {"kind": "grid", "q": [1e-6], "v": [1.0], "kappa": [1.0]}
    study = Study.model_validate({"name": "s", "steps": 1, "space": space})
    assert own_files(space=study.space, folder=Path()) == []
