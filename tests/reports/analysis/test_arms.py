"""The table of arms, and the sentences made from it."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.analysis.arms import arm_table, can_clip, paper_clipping_gain, reference_arm
from reports.analysis.study_statistics import analyse
from reports.data.load import StudyRecord, load_record
from reports.text.verdict import accuracy_sentence, limits


def test_ratios_are_exact_over_the_run(one_seed: Path) -> None:
    study = load_record(output=one_seed)
    # Steps of different length, so that a mean of ratios would be another number.
    tokens = pd.Series([100.0, 900.0, 9000.0] * 3 + [1.0])
    steps = study.steps.assign(**{"kalman/tokens": tokens})
    arms = arm_table(study=StudyRecord(**{**vars(study), "steps": steps})).set_index("arm")
    own = steps[steps["arm"] == "low-gain-clipping"]
    weights = own["kalman/tokens"] / own["kalman/tokens"].sum()
    row = arms.loc["low-gain-clipping"]
    assert row["realised_gain"] == pytest.approx((own["kalman/gain_mean"] * weights).sum())
    assert row["clip_fraction"] == pytest.approx((own["kalman/clip_fraction"] * weights).sum())
    assert row["clip_fraction"] != pytest.approx(own["kalman/clip_fraction"].mean(), rel=1e-3)
    assert row["max_innovation"] == own["innovation/max_abs"].max()
    fractions = own["kalman/clip_fraction"]
    assert (row["clip_fraction_low"], row["clip_fraction_high"]) == (fractions.min(), fractions.max())
    assert row["gain_error"] == pytest.approx(1e-9, rel=1e-3)


def test_arms_carry_the_papers_names_and_only_finished_trials_count(one_seed: Path) -> None:
    arms = arm_table(study=load_record(output=one_seed))
    assert arms["number"].tolist() == [1, 2, 3, 4, 5]
    assert arms["title"].tolist() == ["KPO-strong", "", "KPO-weak", "", ""]
    assert arms["untried"].tolist() == [False, True, False, False, False]
    assert arms["states"].tolist() == ["", "", "", "failed", "not started"]
    assert arms.loc[3:, ["realised_gain", "clip_fraction", "max_innovation", "accuracy"]].isna().all(axis=None)
    assert reference_arm(arms=arms) == "kpo-strong"
    assert reference_arm(arms=arms.assign(title="", arm=[f"arm{i}" for i in range(5)])) == "arm0"
    assert reference_arm(arms=arms.assign(accuracy=math.nan)) is None


def test_other_estimators_are_named_and_not_taken_for_clipping(record: Callable[..., Path]) -> None:
    setting = {"q": 1e-6, "v": 1e-2, "kappa": 1}
    names = ("clip", "saturated", "huber")
    space = {"kind": "arms", "arms": [{"name": f"arm{name}", **setting, "estimator": name} for name in names]}
    study = load_record(output=record(space=space))
    arms = arm_table(study=study)
    assert arms["estimator"].tolist() == list(names)
    assert arms["label"].tolist() == ["armclip", "armsaturated (saturated)", "armhuber (huber)"]
    assert arms["gain_error"].isna().tolist() == [False, False, True]
    assert can_clip(arms=arms).tolist() == [True, True, False]
    assert "Short responses. In 2 arms" in " ".join(limits(study=study, arms=arms))


def test_missing_metrics_are_missing(one_seed: Path) -> None:
    study = load_record(output=one_seed)
    bare = study.steps.drop(columns=["kalman/tokens", "kalman/clip_fraction", "innovation/kurtosis"])
    arms = arm_table(study=StudyRecord(**{**vars(study), "steps": bare}))
    assert arms["realised_gain"].notna().tolist() == [True, True, True, False, False]
    assert arms[["clip_fraction", "clipped_tokens", "tokens", "kurtosis"]].isna().all(axis=None)


def test_low_gain_is_measured_against_the_papers_clipping_arms() -> None:
    assert paper_clipping_gain() == pytest.approx(0.0951, abs=1e-4)


def test_the_verdict_on_accuracy_follows_the_numbers(one_seed: Path) -> None:
    study = load_record(output=one_seed)
    arms = arm_table(study=study)
    compared = analyse(study=study, arms=arms, reference="kpo-strong").comparisons
    undecided = accuracy_sentence(arms=arms, comparisons=compared.assign(p_family=0.2), reference="kpo-strong")
    assert "of no trained model could be told from that of arm 1 (KPO-strong) (2 comparisons" in undecided
    seeds = compared.assign(p_family=0.2, seeds=3)
    assert "No arm's accuracy could" in accuracy_sentence(arms=arms, comparisons=seeds, reference="kpo-strong")
    widest = 50 * (compared["high"] - compared["low"]).max()
    assert f"±{widest:.1f} points" in undecided
    decided = compared.assign(p_family=[0.001, 0.2], difference=[0.123, 0.3], low=0.1, high=0.15)
    # One seed shows that two trained models differ, and nothing of their settings.
    sentence = accuracy_sentence(arms=arms, comparisons=decided, reference="kpo-strong")
    assert "Of the models that were trained with one seed" in sentence
    assert "one seed cannot show" in sentence
    assert "Accuracy differed" not in sentence
    sentence = accuracy_sentence(arms=arms, comparisons=decided.assign(seeds=3), reference="kpo-strong")
    assert sentence.startswith("Accuracy differed from that of arm 1 (KPO-strong), after correction")
    assert sentence.endswith("+12.3 points [+10.0, +15.0] in arm 2 (low-gain-clipping).")
    both = decided.assign(p_family=0.001, seeds=[1, 3])
    sentence = accuracy_sentence(arms=arms, comparisons=both, reference="kpo-strong")
    assert "Accuracy differed" in sentence
    assert "one seed cannot show" in sentence
    # What was registered has its own verdict, with another correction: here it would be contradicted.
    one = accuracy_sentence(arms=arms, comparisons=both.assign(registered=[True, False]), reference="kpo-strong")
    assert "arm 2 (low-gain-clipping)" in sentence
    assert "arm 2 (low-gain-clipping)" not in one
    assert "Accuracy differed" in one
    assert accuracy_sentence(arms=arms, comparisons=both.assign(registered=True), reference="kpo-strong") == ""
    assert "nothing can be said about accuracy" in accuracy_sentence(arms=arms, comparisons=compared, reference=None)
    assert "nothing to compare" in accuracy_sentence(arms=arms, comparisons=compared[:0], reference="kpo-strong")


def test_limits_are_stated(one_seed: Path, two_seeds: Path) -> None:
    study = load_record(output=one_seed)
    text = " ".join(limits(study=study, arms=arm_table(study=study)))
    for expected in ("not claims about", "cannot speak about training seeds", "1 failed and 1 not started", "settles"):
        assert expected in text
    study = load_record(output=two_seeds)
    arms = arm_table(study=study)
    assert arms["seeds"].tolist() == [2, 2, 1]
    assert arms["states"].tolist() == ["", "", "1 failed"]
    text = " ".join(limits(study=study, arms=arms))
    assert "2 training seeds" in text
    assert "cannot speak" not in text


def test_tokens_that_were_nan_count_when_their_trial_failed(record: Callable[..., Path]) -> None:
    arms = [
        {"name": "exact", "q": 1e-2, "v": 1},
        {"name": "public", "q": 1e-2, "v": 1, "numerics": "public-cumsum-fp32"},
    ]
    output = record(space={"kind": "arms", "arms": arms}, failed={"public_s0": "step 1: actor/loss is nan"})
    study = load_record(output=output)
    table = arm_table(study=study)
    of_failed = study.steps[study.steps["arm"] == "public"]
    assert len(of_failed) == 1
    assert table["nonfinite_tokens"].tolist() == [0.0, 100.0]
    assert table["nonfinite_share"][1] == 100.0 / of_failed["kalman/tokens"].iloc[0]
    assert np.isnan(table["realised_gain"][1])
    text = " ".join(limits(study=study, arms=table))
    assert "it was NaN or infinite on 100 tokens, those of failed trials among them" in text


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("tiny", "These numbers come from a 1 M-parameter Qwen3, taught arithmetic on this machine"),
        ("tiny-long", "a 1 M-parameter Qwen3, taught series of twenty multiplications"),
        ("tiny-maths", "a 1 M-parameter Qwen3 that has only learned to write"),
        ("small-gpu", "a 5 M-parameter Qwen3, taught series of twenty multiplications"),
        ("qwen3-4b", None),
        ("one-of-somebody-else", None),
    ],
)
def test_a_model_made_on_the_spot_is_no_evidence_about_large_ones(
    one_seed: Path, profile: str, expected: str | None
) -> None:
    study = load_record(output=one_seed)
    study = replace(study, params={**study.params, "profile": profile})
    text = " ".join(limits(study=study, arms=arm_table(study=study)))
    assert ("Small model. " in text) == (expected is not None)
    assert expected is None or expected in text
