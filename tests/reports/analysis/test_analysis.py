"""All statistics of a study, from a real store; the tail and recovery against numbers that are known."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports import write_report
from reports.analysis.arms import arm_table, reference_arm
from reports.analysis.innovation_tails import TAIL_COLUMNS, exceedance, step_counts, tail_table
from reports.analysis.study_statistics import analyse
from reports.data.load import StudyRecord, load_record
from reports.statistics.accuracy import arm_accuracies
from reports.statistics.compare import compare_arms
from reports.statistics.tails import EDGES
from reports.statistics.verdicts import verdict_counts
from reports.text.breakdown_text import breakdown_content
from reports.text.statistics_text import recovery_sentence, statistics_content
from tests.reports.conftest import ARMS


def _histograms(*, arm: str, steps: int, tokens: int) -> pd.DataFrame:
    rows = []
    for step in range(1, steps + 1):
        values = np.abs(np.random.default_rng(step).standard_t(3, size=tokens))
        counts = np.histogram(values, bins=EDGES)[0]
        held = np.flatnonzero(counts)
        rows.append(pd.DataFrame({"lower": EDGES[held], "tokens": counts[held]}).assign(step=step, arm=arm))
    return pd.concat(rows, ignore_index=True)


def test_planned_and_exploratory_comparisons_are_those_of_compare_arms(one_seed: Path) -> None:
    study = load_record(output=one_seed)
    arms = arm_table(study=study)
    found = analyse(study=study, arms=arms, reference="kpo-strong")
    rows = found.comparisons.set_index("arm")
    assert rows["planned"].to_dict() == {"low-gain-clipping": False, "kpo-weak": True}
    expected = compare_arms(verdicts=verdict_counts(samples=study.samples), baseline="kpo-strong", planned=["kpo-weak"])
    for column in ("difference", "low", "high", "p", "p_adjusted", "p_equivalence"):
        np.testing.assert_allclose(rows[column], expected.rows.set_index("arm").loc[rows.index, column])
    assert any("cannot speak about seeds" in note for note in found.notes)
    # A wider margin makes equivalence easier to show, never harder.
    wide = analyse(study=study, arms=arms, reference="kpo-strong", margin=0.2).comparisons.set_index("arm")
    assert (wide["p_equivalence"] <= rows["p_equivalence"]).all()
    assert wide.loc["kpo-weak", "p_equivalence"] < rows.loc["kpo-weak", "p_equivalence"]


def test_recovery_needs_the_papers_two_arms(one_seed: Path) -> None:
    study = load_record(output=one_seed)
    arms = arm_table(study=study)
    found = analyse(study=study, arms=arms, reference="kpo-strong")
    assert found.recovery.rows["arm"].tolist() == ["low-gain-clipping"]
    assert set(found.recovery.rows["verdict"]) <= {"undefined", "open", "missed", "reached"}
    renamed = arms.assign(title=arms["title"].replace("KPO-weak", ""))
    without = analyse(study=study, arms=renamed, reference="kpo-strong")
    assert without.recovery.rows.empty
    assert "has not evaluated KPO-weak" in recovery_sentence(recovery=without.recovery, arms=renamed)


def test_intervals_of_several_seeds_are_those_over_seeds(two_seeds: Path) -> None:
    study = load_record(output=two_seeds)
    table = arm_accuracies(verdicts=verdict_counts(samples=study.samples)).set_index(["arm", "benchmark"])
    only_problems = arm_accuracies(verdicts=verdict_counts(samples=study.samples[study.samples["seed"] == 0]))
    assert (only_problems["seeds"] == 1).all()
    assert table.loc["kpo-strong", "seeds"].tolist() == [2, 2]
    assert (table["low"] < table["accuracy"]).all()
    assert (table["accuracy"] < table["high"]).all()
    arms = arm_table(study=study)
    content = statistics_content(
        analysis=analyse(study=study, arms=arms, reference="kpo-strong"),
        arms=arms,
        shown=list(arms["arm"]),
        trial_minutes=2.0,
    )
    assert {row[0] for row in content["comparisons"]} == {"easy", "hard", "mean of all"}
    assert "each further seed of two arms takes 4" in content["next_cost"]


def test_a_tail_predicts_steps_it_was_not_fitted_to() -> None:
    arms = pd.DataFrame({"arm": ["a"], "kappa": [math.inf], "clipped_tokens": [0.0]})
    histograms = _histograms(arm="a", steps=12, tokens=4000)
    table = tail_table(histograms=histograms, arms=arms)
    assert tuple(table.columns) == TAIL_COLUMNS
    assert (table["held_out"] == 4).all()
    # The share of a Student t(3) above x is known.
    seen = table[~table["beyond"].astype(bool)]
    np.testing.assert_allclose(seen["predicted"].astype(float), 2 * stats.t.sf(seen["x"].astype(float), 3), rtol=0.4)
    short = tail_table(histograms=histograms[histograms["step"] <= 5], arms=arms)
    assert "5 steps are too few" in short["reason"].iloc[0]
    assert tail_table(histograms=histograms, arms=arms.assign(clipped_tokens=3.0)).empty


def test_exceedance_is_the_share_of_tokens_from_a_bound_on() -> None:
    histograms = _histograms(arm="a", steps=3, tokens=500)
    assert step_counts(histograms=histograms).sum(axis=1).tolist() == [500, 500, 500]
    curve = exceedance(histograms=histograms)
    values = np.concatenate([np.abs(np.random.default_rng(step).standard_t(3, size=500)) for step in (1, 2, 3)])
    np.testing.assert_allclose(curve["share"], [(values >= x).mean() for x in curve["x"]])


def test_subjects_and_votes_are_shown_where_they_were_recorded() -> None:
    samples = pd.DataFrame(
        {
            "trial": "a_s0", "arm": "a", "seed": 0, "benchmark": "b", "step": 1,
            "problem_id": np.repeat(["p", "q", "r", "s"], 3), "sample": [0, 1, 2] * 4,
            "correct": [True, True, False, False, False, False, True, False, False, True, True, True],
            "answer": ["1", "1", "2", "5", "5", "6", "1", "7", "7", "1", "1", "1"],
            "subject": np.repeat(["Algebra", "Algebra", "Geometry", "Geometry"], 3), "truncated": [True] + 11 * [False],
        }
    )  # fmt: skip
    arms = pd.DataFrame({"number": [1], "arm": ["a"], "accuracy": [0.5]})
    content = breakdown_content(samples=samples, arms=arms, benchmark="b")
    assert [row[:2] for row in content["breakdown"]] == [["Algebra", "2"], ["Geometry", "2"]]
    assert content["breakdown"][0][2].startswith("33.3 [")
    assert content["truncated"] == ["8.33"]
    # 6 of 12 right; at k = 3 the majority is right in p and s alone, some sample in p, r and s.
    curves = {name: cell.split(" [")[0] for name, cell in content["curves"]}
    assert all("[" in cell for _, cell in content["curves"])
    assert (curves["pass@1"], curves["maj@1"], curves["pass@3"], curves["maj@3"]) == ("50.0", "50.0", "75.0", "50.0")
    assert content["unreadable"] == []
    read = breakdown_content(
        samples=samples.assign(outcome=["unparsed", "timed_out"] + 10 * ["graded"]), arms=arms, benchmark="b"
    )
    assert read["unreadable"] == ["16.7"]
    assert content["disputed"] == []
    disputed = samples.assign(disputed=[True] * 3 + [False] * 9)
    assert breakdown_content(samples=disputed, arms=arms, benchmark="b")["disputed"] == ["25"]
    unknown = breakdown_content(samples=samples.assign(truncated=None), arms=arms, benchmark="b")
    assert unknown["truncated"] == []
    nothing = breakdown_content(samples=samples[:0], arms=arms, benchmark=None)
    assert (nothing["breakdown"], nothing["curves"], nothing["truncated"]) == ([], [], [])


def test_data_beside_the_report_are_its_tables(record: Callable[..., Path]) -> None:
    arms = [ARMS["arms"][0], {**ARMS["arms"][1], "kappa": 3}]
    output = record(space={"kind": "arms", "arms": arms}, problems=6, steps=1)
    write_report(output=output, margin=0.3)
    data = output / "report" / "data"
    verdicts = pd.read_parquet(data / "verdicts.parquet")
    study = load_record(output=output)
    assert verdicts["correct"].sum() == study.samples["correct"].sum()
    compared = pd.read_csv(data / "comparisons.csv")
    assert compared["arm"].tolist() == ["low-gain-clipping"]
    assert "Within" in (output / "report" / "report.typ").read_text(encoding="utf-8")
    content = json.loads((output / "report" / "report.json").read_text(encoding="utf-8"))
    assert content["margin"] == "30.0"
    assert content["tail_notes"]


@pytest.mark.parametrize("metric", ["kalman/clip_fraction", "innovation/kurtosis", "kalman/gain_mean"])
def test_metrics_that_are_not_numbers_leave_the_rest(one_seed: Path, metric: str) -> None:
    study = load_record(output=one_seed)
    broken = StudyRecord(**{**vars(study), "steps": study.steps.assign(**{metric: math.nan})})
    arms = arm_table(study=broken)
    found = analyse(study=broken, arms=arms, reference=reference_arm(arms=arms))
    assert len(found.comparisons) == 2
    assert (
        statistics_content(analysis=found, arms=arms, shown=list(arms["arm"]), trial_minutes=math.nan)["next_cost"]
        == ""
    )
