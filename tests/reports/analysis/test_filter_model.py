"""The check of the filter's model on a recorded study whose log ratios have a known Q and V."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from iskpo.replay.traces import SequenceTrace, StepTrace, write_traces
from reports.analysis.arms import arm_table
from reports.analysis.filter_model import MODEL_COLUMNS, filter_model_table
from reports.data.load import load_record
from reports.text.model_text import model_content
from sweep.store.study_folder import tracking_uri
from sweep.study.study import load_study

Q, V = 4e-4, 1e-2
ARMS = [{"name": "true", "q": Q, "v": V}, {"name": "too-wide", "q": 100 * Q, "v": 100 * V}]
# Without a filter there is nothing to be wrong, and the same Q and V to be found.
ARMS.append({"name": "grpo", "loss": "grpo"})


def _sequences(trial: int) -> list[SequenceTrace]:
    """Update 0 is rounding, update 1 the model; every third token is a hole."""
    random = np.random.default_rng(trial)
    found = []
    for update in range(2):
        for row in range(40):
            level = np.cumsum(math.sqrt(Q) * random.standard_normal(40))
            z = level + math.sqrt(V) * random.standard_normal(40) if update else np.zeros(40)
            spread = np.full(60, np.nan, np.float32)
            spread[np.arange(60) % 3 != 1] = z
            owner = (f"p{row // 2}", row % 2, 1.0)
            found.append(SequenceTrace(update, 0, 0, row, (40, 60), *owner, spread, -np.abs(spread)))
    return found


@pytest.fixture(scope="module")
def study_folder(record: Callable[..., Path]) -> Path:
    output = record(space={"kind": "arms", "arms": ARMS}, steps=1)
    study = load_record(output=output)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    runs = client.search_runs([client.get_run(study.run_id).info.experiment_id], "tags.`iskpo.kind` = 'trial'")
    resolved = output / "resolved.yaml"
    resolved.write_text("actor_rollout_ref: {actor: {clip_ratio_low: 0.2, clip_ratio_high: 0.2}}\n")
    for number, run in enumerate(runs):
        kept = [(place / 1000, sequence) for place, sequence in enumerate(_sequences(number))]
        write_traces(output / "step_0001.parquet", step=1, trace=StepTrace(kept, len(kept)))
        client.log_artifact(run.info.run_id, str(output / "step_0001.parquet"), "traces")
        client.log_artifact(run.info.run_id, str(resolved), "config")
    return output


def test_the_true_model_is_found_and_a_wrong_one_told(study_folder: Path) -> None:
    study = load_record(output=study_folder)
    table = filter_model_table(output=study_folder, study=study)
    assert tuple(table.columns) == MODEL_COLUMNS
    assert table["update"].isna().tolist() == 3 * [False, False, True]
    moved = table[table["update"] == 1].set_index("arm")
    assert (moved["tokens"] == 1600).all()
    assert (moved["problems"] == 20).all()
    # 1,600 squares have a mean of 1 to 0.035; seeds are fixed.
    assert moved.loc["true", "nis"] == pytest.approx(1, abs=0.12)
    assert moved.loc["too-wide", "nis"] == pytest.approx(0.01, abs=0.002)
    for name, value in (("q", Q), ("v", V), ("gain", 0.18)):
        assert (moved[f"{name}_low"] < value).all()
        assert (value < moved[f"{name}_high"]).all()
    filtered = moved.drop("grpo")
    assert (filtered["lag1"].abs() < 4 * filtered["lag1_error"]).all()
    assert (filtered["refused"] < 0.2).all()
    assert (moved["fitted_refused"] < 0.2).all()
    own = ["nis", "lag1", "tested", "refused", "nats_per_token"]
    assert moved.loc["grpo", own].isna().all()
    assert moved.loc[["true", "grpo"], "uncertain"].notna().all()
    assert moved.loc["true", "nats_per_token"] == pytest.approx(0, abs=0.01)
    # Of a variance that is 100 times too large: (log 100 - 0.99) / 2 nats a token.
    assert moved.loc["too-wide", "nats_per_token"] == pytest.approx((math.log(100) - 0.99) / 2, abs=0.05)
    still = table[table["update"] == 0]
    assert (still.loc[still["arm"] != "grpo", "nis"] == 0).all()
    assert still["gain"].isna().all()


def test_the_document_says_it_in_words(study_folder: Path) -> None:
    study = load_record(output=study_folder)
    arms = arm_table(study=study)
    table = filter_model_table(output=study_folder, study=study)
    nothing = table.head(0)
    content = model_content(mixtures=nothing, model=table, arms=arms, shown=list(arms["arm"]))
    assert [row[1] for row in content["filter_model"]] == ["true", "too-wide", "GRPO"]
    assert "innovations are smaller than any arm assumes" in content["model_sentence"]
    assert "nats a token more likely than one V" in content["model_sentence"]
    older = model_content(
        mixtures=nothing, model=table.assign(uncertain_nats_per_token=math.nan), arms=arms, shown=list(arms["arm"])
    )
    assert "one V" not in older["model_sentence"]
    empty = model_content(mixtures=nothing, model=nothing, arms=arms, shown=list(arms["arm"]))
    assert empty == {"mixtures": [], "filter_model": [], "model_sentence": ""}


def test_an_arm_trains_with_what_was_found(study_folder: Path, tmp_path: Path) -> None:
    """From the report's table to an arm, to the last digit."""
    table = filter_model_table(output=study_folder, study=load_record(output=study_folder))
    folder = study_folder / "report" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "filter_model.csv", index=False)
    # A word that YAML would take for a truth value is quoted.
    arms = "".join(f"    - {{name: '{name}', fitted: '{name}'}}\n" for name in ("true", "grpo"))
    path = tmp_path / "study.yaml"
    path.write_text(f"name: s\nsteps: 1\nspace:\n  kind: arms\n  traces: {study_folder}\n  arms:\n{arms}")
    whole = table[table["update"].isna()].set_index("arm")
    for arm in load_study(path).arms:
        assert (arm.q, arm.v) == (whole.loc[arm.name, "q"], whole.loc[arm.name, "v"])


def test_without_traces_there_is_no_row(record: Callable[..., Path]) -> None:
    output = record(space={"kind": "arms", "arms": ARMS[:1]}, steps=1)
    assert filter_model_table(output=output, study=load_record(output=output)).empty
