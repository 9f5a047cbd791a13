"""A study that repeats the paper beside the paper: which cells, which verdicts, and when there is no page at all."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pypdf import PdfReader

from reports import write_report
from reports.audit import load_reported
from reports.audit.printed import parse
from reports.data.load import StudyRecord, load_record
from reports.replication import Verdict, replication_cells
from reports.statistics.verdicts import verdict_counts
from sweep.arms.paper import REPORTED

ROOT = Path(__file__).parents[3]
_SIZES = {"problems": (500, 30, 30), "benchmarks": ("math-500", "aime-2024", "aime-2025"), "samples": 16}


def _cells(study: StudyRecord) -> pd.DataFrame:
    return replication_cells(study=study, verdicts=verdict_counts(samples=study.samples))


@pytest.fixture(scope="module")
def table3(record: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped study with two seeds, its numbers made up."""
    file = tmp_path_factory.mktemp("study") / "study.yaml"
    file.write_text((ROOT / "studies" / "paper_table3.yaml").read_text().replace("seeds: 3", "seeds: 2"))
    return record(study_file=file, **_SIZES)


def test_every_printed_number_of_the_studys_arms_has_its_cell(table3: Path) -> None:
    cells, reported = _cells(load_record(output=table3)), load_reported(REPORTED)
    there = {"KPO-weak", "IS-KPO-weak", "Optimization 0", "Optimization 1"}
    assert set(cells["title"]) == there
    assert list(cells["table"].unique()) == ["Table 1", "Table 3", "Table 2", "Figure 2", "Text"]
    printed = [row.average for row in reported.accuracies if row.arm in there]
    printed += [row.pass_at_k for row in reported.accuracies if row.arm in there and row.pass_at_k]
    for row in reported.clipping:
        if row.arm in there:
            printed += [row.clip_fraction]
            printed += [row.kurtosis, row.largest_innovation] if row.step is not None else []
    printed += [row.claim for row in reported.gains]
    # The gap is that of an arm which this study has not.
    printed += [row.claim for row in reported.differences if {row.arm, row.reference} <= there]
    printed += [row.claim for row in (*reported.largest_innovations, *reported.threshold_ratios)]
    printed += [end for row in reported.kurtoses for end in (row.lowest, row.highest)]
    assert sorted(cells["printed"]) == sorted(one.text for one in printed if one is not None)


def test_a_verdict_is_whether_the_printed_number_lies_where_one_more_run_would(table3: Path) -> None:
    cells = _cells(load_record(output=table3))
    assert (cells["runs"] == 2).all()
    verdicts = set()
    for _, cell in cells.iterrows():
        claim = parse(cell["printed"])
        low, high = claim.interval if claim.value else (0.0, 0.0)
        inside = low <= cell["high"] * (1 + 1e-9) and cell["low"] <= high * (1 + 1e-9)
        assert cell["verdict"] == (Verdict.COMPATIBLE if inside else Verdict.DIFFERS)
        verdicts.add(cell["verdict"])
    assert verdicts == {Verdict.COMPATIBLE, Verdict.DIFFERS}
    # Made-up innovations are as large as 2, and gains are near the steady state: neither is as printed.
    by_measure = cells.set_index(["title", "measure", "row"])["verdict"]
    assert by_measure["Optimization 0", "Gain, %", ""] == Verdict.DIFFERS
    assert set(cells.loc[cells["doubtful"], "source"]) == {"Table 2, row IS-KPO-weak 5", "Figure 2, caption"}


def test_one_run_shows_no_spread_of_seeds_and_a_missing_evaluation_leaves_its_cells_open(table3: Path) -> None:
    study = load_record(output=table3)
    first = study.trials[study.trials["seed"] == 0]
    one = replace(study, trials=first, samples=study.samples[study.samples["seed"] == 0])
    cells = _cells(replace(one, steps=study.steps[study.steps["seed"] == 0])).set_index("measure")
    assert Verdict.DIFFERS not in set(cells["verdict"])
    assert cells.loc["Kurtosis", "verdict"].eq(Verdict.OPEN).all()
    assert cells.loc["avg@16, %", "low"].notna().all()
    without = _cells(replace(study, samples=study.samples[study.samples["benchmark"] == "math-500"]))
    aime = without[without["row"].str.startswith("AIME")]
    assert aime["verdict"].eq(Verdict.OPEN).all()
    assert aime["value"].isna().all()


def test_no_page_unless_the_experiment_is_the_papers(table3: Path, one_seed: Path) -> None:
    assert _cells(load_record(output=one_seed)).empty
    study = load_record(output=table3)
    for changed in (
        replace(study, params={**study.params, "steps": "32"}),
        replace(study, params={**study.params, "profile": "qwen3-0.6b"}),
        replace(study, params={**study.params, "profile": "unknown"}),
        replace(study, overrides={**study.overrides, "actor_rollout_ref.actor.optim.lr": 2e-6}),
    ):
        assert _cells(changed).empty
    # An arm with a setting of its own is none of the paper's.
    of_weak = study.trials["arm"] == "kpo-weak"
    own = study.trials.assign(settings=study.trials["settings"].mask(of_weak, '{"eps_low": 0.1}'))
    assert "KPO-weak" not in set(_cells(replace(study, trials=own))["title"])


def test_the_report_has_the_page(table3: Path, tmp_path: Path) -> None:
    output = tmp_path / "copy"
    shutil.copytree(table3, output)
    pages = [page.extract_text() for page in PdfReader(write_report(output=output)).pages]
    (page,) = [text for text in pages if "The paper, side by side" in text]
    words = " ".join(page.split())
    assert "compatible with one more run of it" in words
    assert (
        "Left open by the paper, and set here: matching exact, lr_warmup_steps_ratio 0, top_p 1, enable_thinking false."
        in words
    )
    assert "Not in this study: KPO-strong." in words
    assert len(pd.read_csv(output / "report" / "data" / "replication.csv")) == len(_cells(load_record(output=output)))
