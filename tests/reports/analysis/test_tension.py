"""The verdict on the tension, the registered family, and what a large or unfinished study shows of itself."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from pypdf import PdfReader

from iskpo.closed_form import steady_state_gain, steady_state_threshold
from iskpo.replay.traces import SequenceTrace, StepTrace, write_traces
from reports import write_report
from reports.analysis.arms import arm_table, left_out, shown_arms
from reports.analysis.registered_results import registered_comparisons
from reports.analysis.tension import Bounds, bounds_of, replayed_grid, without_threshold
from reports.data.load import load_record
from reports.statistics.differences import difference, paired_tables
from reports.statistics.verdicts import verdict_counts
from reports.text.tension_text import clipping_sentences, tension_sentence
from reports.text.verdict import missing_trials, unevaluated_benchmarks
from sweep.store.study_folder import tracking_uri
from sweep.study.registered import Registered
from tests.reports.conftest import ARMS

_NO_GRID = pd.DataFrame(columns=["gain", "threshold", "clip_fraction", "tokens", "trials"])


def _sentence(output: Path, bounds: Bounds, grid: pd.DataFrame = _NO_GRID) -> str:
    study = load_record(output=output)
    verdicts = verdict_counts(samples=study.samples)
    arms = arm_table(study=study, verdicts=verdicts)
    return tension_sentence(arms=arms, verdicts=verdicts, bounds=bounds, grid=grid)


def test_the_verdict_names_gain_clip_fraction_and_accuracy_with_its_interval(one_seed: Path) -> None:
    text = _sentence(one_seed, bounds_of(registered=None))
    assert text.startswith("1 of 5 arms (2) had a gain below that of the paper's clipping arms (9.5 %)")
    assert "against the reference, arm 1 (KPO-strong), accuracy differed by" in text
    study = load_record(output=one_seed)
    verdicts = verdict_counts(samples=study.samples)
    estimate = difference(tables=paired_tables(verdicts=verdicts, arm="low-gain-clipping", other="kpo-strong"))
    assert f"{100 * estimate.low:.1f}".replace("-", "−") in text
    assert "one training seed" in text


def test_an_arm_with_other_settings_is_no_reference(one_seed: Path) -> None:
    study = load_record(output=one_seed)
    verdicts = verdict_counts(samples=study.samples)
    arms = arm_table(study=study, verdicts=verdicts)
    for other in ("kpo-strong", "low-gain-clipping"):
        changed = arms.assign(settings=["lr 1e-5" if arm == other else "" for arm in arms["arm"]])
        text = tension_sentence(arms=changed, verdicts=verdicts, bounds=bounds_of(registered=None), grid=_NO_GRID)
        assert text.endswith("what that did to accuracy was not measured.")


def test_what_is_said_of_clipping_follows_the_numbers(one_seed: Path) -> None:
    study = load_record(output=one_seed)
    verdicts = verdict_counts(samples=study.samples)
    arms = arm_table(study=study, verdicts=verdicts)

    def said(changed: pd.DataFrame) -> list[str]:
        papers = bounds_of(registered=None)
        return [*clipping_sentences(arms=changed, verdicts=verdicts, bounds=papers, grid=_NO_GRID)]

    # An arm that decides has the one sentence there is.
    (decided,) = said(arms)
    assert decided.startswith("1 of 5 arms (2) had a gain below")
    # As much as counts has to be clipped, and the realised gain be low too: one that starts at a large P0 is not.
    for changed in (
        arms.assign(clip_fraction=arms["clip_fraction"].clip(upper=1e-5)),
        arms.assign(realised_gain=0.4),
        arms.assign(numerics="public-cumsum-fp32", realised_gain=0.4),
        arms.assign(gain=0.5, realised_gain=0.5),
    ):
        first, further = said(changed)
        assert first.startswith("Tokens were clipped in 1 of 1 arm with a threshold, in none of them 0.1 % of tokens")
        assert further.startswith("No arm of this study had a gain below")
        assert not first.claims
        assert not further.claims
    assert said(arms.assign(clip_fraction=arms["clip_fraction"] * 0))[0].startswith("No token was clipped in the 1 arm")
    assert "nothing can be said about clipping" in said(arms.assign(clip_fraction=np.nan))[0]
    assert said(arms.assign(kappa=np.inf)) == []


def test_bounds_decide_and_replay_says_what_would_have_clipped(one_seed: Path) -> None:
    strict = bounds_of(registered=Registered(gain_bound=1e-4, clip_bound=0.5))
    grid = pd.DataFrame({"gain": [1e-5, 1e-5], "threshold": [0.01, 1.0], "clip_fraction": [0.8, 0.1]})
    text = _sentence(one_seed, strict, grid)
    assert text.startswith("No arm of this study had a gain of at most 0.01 % and clipped at least 50 %")
    assert "the study does not ask the question" in text
    assert "thresholds up to 0.01 would have clipped as much at every such gain" in text
    assert "(bounds of gain and clipping registered before the run)" in text
    more = pd.concat([grid, pd.DataFrame({"gain": [5e-5], "threshold": [0.01], "clip_fraction": [0.1]})])
    assert "as much at 1 of 2 such gains" in _sentence(one_seed, strict, more)
    own = bounds_of(registered=Registered(clip_bound=0.9))
    assert "(bound of clipping registered before the run)" in _sentence(one_seed, own)


def test_a_registered_bound_is_itself_low() -> None:
    gains = pd.Series([0.01, 0.0101])
    assert bounds_of(registered=Registered(gain_bound=0.01)).low(gains).tolist() == [True, False]
    papers = bounds_of(registered=None)
    assert papers.low(pd.Series([papers.gain, papers.gain * 0.99])).tolist() == [False, True]


def test_the_partner_is_the_same_filter_without_threshold() -> None:
    arms = pd.DataFrame(
        {"arm": ["a", "b", "c"], "q": [1e-4, 1e-6, 1e-4], "v": [1.0, 0.01, 0.01], "p0": 0.0, "accuracy": 0.5,
         "kappa": [math.inf, 1.0, math.inf], "estimator": "clip", "loss": "iskpo", "settings": "", "numerics": "exact"}
    )  # fmt: skip
    assert without_threshold(arms=arms, arm=arms.iloc[1]) == "a"
    assert without_threshold(arms=arms.iloc[1:], arm=arms.iloc[1]) is None
    for other in ({"p0": [1.0, 0.0, 0.0]}, {"estimator": ["ema", "clip", "clip"]}, {"settings": ["lr 0.1", "", ""]}):
        assert without_threshold(arms=arms.assign(**other), arm=arms.iloc[1]) is None


def test_the_replayed_map_is_what_the_recorded_log_ratios_exceed(record: Callable[..., Path]) -> None:
    arm = {"name": "plain", "q": 1e-2, "v": 1}
    output = record(space={"kind": "arms", "arms": [arm]}, steps=1)
    study = load_record(output=output)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    (run,) = client.search_runs([client.get_run(study.run_id).info.experiment_id], "tags.`iskpo.kind` = 'trial'")
    z = np.random.default_rng(0).normal(scale=0.1, size=400).astype(np.float32)
    row = SequenceTrace(
        update=0, rank=0, micro_batch=0, row=0, shape=(1, 400), problem_id="p", sample=0, reward=0.0, z=z,
        old_log_prob=-np.abs(z),
    )  # fmt: skip
    write_traces(output / "step_0001.parquet", step=1, trace=StepTrace(sequences=[(0.5, row)], seen=1))
    client.log_artifact(run.info.run_id, str(output / "step_0001.parquet"), "traces")
    resolved = output / "resolved.yaml"
    resolved.write_text("actor_rollout_ref: {actor: {clip_ratio_low: 0.2, clip_ratio_high: 0.2}}\n")
    client.log_artifact(run.info.run_id, str(resolved), "config")
    grid = replayed_grid(output=output, study=study, arms=arm_table(study=study))
    assert (grid["tokens"] == 400).all()
    place = grid.iloc[(np.log(grid["threshold"] / 0.1) ** 2 + np.log(grid["gain"] / 1e-3) ** 2).argmin()]
    # The filter in a plain loop, at that gain and threshold, from P_0 = 0.
    ratio = place["gain"] ** 2 / (1 - place["gain"])
    v = (place["threshold"] / 3) ** 2 * (1 - place["gain"])
    assert steady_state_gain(q=ratio * v, v=v) == pytest.approx(place["gain"])
    assert steady_state_threshold(q=ratio * v, v=v, kappa=3.0) == pytest.approx(place["threshold"])
    rho, p, clipped = 0.0, 0.0, 0
    for value in z.astype(float):
        p += ratio * v
        limit = 3 * math.sqrt(p + v)
        innovation = value - rho
        clipped += abs(innovation) > limit
        gain = p / (p + v)
        rho += gain * max(-limit, min(limit, innovation))
        p *= 1 - gain
    assert place["clip_fraction"] == pytest.approx(clipped / 400, abs=1 / 400)


def test_a_registered_family_counts_what_could_not_be_tested(one_seed: Path) -> None:
    verdicts = verdict_counts(samples=load_record(output=one_seed).samples)
    pairs = [("low-gain-clipping", "kpo-strong"), ("kpo-weak", "kpo-strong"), ("broken", "kpo-weak")]
    plan = Registered.model_validate({"comparisons": [{"arm": a, "reference": b} for a, b in pairs]})
    table = registered_comparisons(verdicts=verdicts, registered=plan)
    p = sorted(table["p"].dropna())
    # Holm by hand, over three although two were tested.
    assert sorted(table["p_adjusted"].dropna()) == pytest.approx(
        sorted([min(1, 3 * p[0]), min(1, max(3 * p[0], 2 * p[1]))])
    )
    assert table["verdict"].iloc[2] == "not tested"
    assert table["reason"].iloc[2] == "broken not evaluated"
    assert registered_comparisons(verdicts=verdicts, registered=None).empty


def test_many_arms_are_cut_to_those_that_matter() -> None:
    count = 200
    arms = pd.DataFrame(
        {
            "arm": [f"a{i}" for i in range(count)],
            "title": ["KPO-weak" if i == 77 else "" for i in range(count)],
            "gain": np.geomspace(1e-3, 0.5, count),
            "clip_fraction": [0.3 if i == 150 else 0.0 for i in range(count)],
            "accuracy": [np.nan if i == 5 else i / count for i in range(count)],
        }
    )
    shown = shown_arms(arms=arms, reference="a100", always=("a33",), most=40)
    assert len(shown) == 40
    assert {"a100", "a33", "a77", "a150", "a199", "a0"} <= set(shown)
    assert shown == [name for name in arms["arm"] if name in shown]
    assert "160 others" in left_out(arms=arms, shown=shown)
    assert shown_arms(arms=arms.head(40), reference=None, most=40) == arms["arm"].head(40).tolist()


def test_a_study_in_progress_says_what_it_lacks(one_seed: Path) -> None:
    rows = missing_trials(study=load_record(output=one_seed))
    assert rows == [["broken", "0 of 1 trial", "failed: seed 0"], ["later", "0 of 1 trial", "not started: seed 0"]]


def test_exactly_two_finished_trials(record: Callable[..., Path]) -> None:
    arms = [ARMS["arms"][0], ARMS["arms"][2], ARMS["arms"][1]]
    output = record(space={"kind": "arms", "arms": arms}, not_started=("low-gain-clipping_s0",), problems=8, steps=2)
    report = write_report(output=output)
    content = json.loads((output / "report" / "report.json").read_text(encoding="utf-8"))
    assert len(content["comparisons"]) == 1
    assert content["missing"] == [["low-gain-clipping", "0 of 1 trial", "not started: seed 0"]]
    assert "No arm with a threshold has recorded" in content["verdict"][0]
    text = " ".join(" ".join(page.extract_text() for page in PdfReader(report).pages).split())
    assert "still running" in text


def test_a_benchmark_that_some_arms_lack_is_named_and_left_out(two_seeds: Path) -> None:
    samples = load_record(output=two_seeds).samples
    samples = samples[~((samples["arm"] == "kpo-strong") & (samples["benchmark"] == "hard"))]
    (sentence,) = unevaluated_benchmarks(verdicts=verdict_counts(samples=samples))
    assert sentence.startswith("Benchmark hard is missing for kpo-strong")
    assert not unevaluated_benchmarks(verdicts=verdict_counts(samples=load_record(output=two_seeds).samples))


def test_html_holds_the_same_and_the_run_describes_itself(record: Callable[..., Path]) -> None:
    output = record(space={"kind": "arms", "arms": ARMS["arms"][:2]}, problems=6, steps=1)
    report = write_report(output=output, format="html")
    assert report == output / "report" / "report.html"
    text = report.read_text(encoding="utf-8")
    content = json.loads((output / "report" / "report.json").read_text(encoding="utf-8"))
    for sentence in content["verdict"]:
        assert sentence.replace("'", "’") in text or sentence in text
    assert text.count("<img") == 4
    assert re.findall(r"<figcaption><strong>Figure.(\d)\.</strong>", text) == ["1", "2", "3", "4"]
    assert text.count("<figcaption><strong>Table") >= 5
    assert "max-width" in text
    # Figures stay sharp at any size; tables sort; an arm's samples are one click away.
    assert text.count("data:image/svg+xml") == 4
    assert "aria-sort" in text
    page = report.parent / re.findall(r'<a href="(samples/[^"]+)"', text)[0]
    samples = page.read_text(encoding="utf-8")
    assert "Samples of KPO-strong" in samples
    assert samples.count("<tr>") == 1 + 6 * 4
    right = round(float(content["summary"][0][2].split()[0]) / 100 * 24)
    assert samples.count("<td>right</td>") == right
    study = load_record(output=output)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    note = client.get_run(study.run_id).data.tags["mlflow.note.content"]
    assert content["verdict"][1] in note
    assert "report%2Fmap.svg" in note
    data = {entry.path for entry in client.list_artifacts(study.run_id, "report/data")}
    assert {"report/data/arms.csv", "report/data/verdicts.parquet", "report/data/steps.parquet"} <= data
    assert {"Commit", "Hardware", "Time", "Software", "Registered"} <= {name for name, _ in content["facts"]}
    assert study.tags["iskpo.version.verl"] == "0.9.1"
