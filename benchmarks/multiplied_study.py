"""Gives a study further seeds whose trials are copies of those that it has: a large study's store in seconds.

What is copied was written by the driver, so rows, indices and files are those that further trials with the same
numbers would have left. Of a copy its run's id, key, name and seed are its own; its files are hard links.
"""

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import yaml

from sweep.profiles.profile import load_profile
from sweep.store.mlflow_tables import latest_study, open_tables
from sweep.store.plan_file import keep_plan
from sweep.store.study_folder import STUDY_FILE, artifact_folder, trial_folder
from sweep.study.plan import plan_trials
from sweep.study.study import Study

_TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")


def multiply(*, output: Path, fields: dict[str, Any]) -> int:
    """Make the study in a folder the one of these fields, every trial of which has ended; returns how many it has.

    Args:
        output: Folder of a study with the same arms and fewer seeds, in which a trial of each arm has finished.
        fields: The larger study, as its file; its profile has a name.
    """
    study = Study.model_validate(fields)
    plan = plan_trials(study)
    _, known = latest_study(output)
    originals = {run.tags["iskpo.arm"]: run for run in reversed(known.values()) if run.state == "finished"}
    (output / STUDY_FILE).write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    keep_plan(output=output, study=study, plan=plan, profile=load_profile(study.profile))
    with open_tables(output, write=True) as tables:
        columns = {
            table: [name for (name,) in tables.execute("SELECT name FROM pragma_table_info(?)", (table,))]
            for table in _TABLES
        }
        for trial in plan:
            if trial.key in known:
                continue
            original, run = originals[trial.arm.name], uuid.uuid4().hex
            values = {"run": run, "original": original.run_id, "key": trial.key, "seed": str(trial.seed)}
            for table, names in columns.items():
                chosen = ", ".join(_EXPRESSIONS.get((table, name), _EXPRESSIONS.get(name, name)) for name in names)
                tables.execute(
                    f"INSERT INTO {table} ({', '.join(names)}) SELECT {chosen} FROM {table} WHERE run_uuid = :original",
                    values,
                )
            for here, there in (
                (artifact_folder(output, original.run_id), artifact_folder(output, run)),
                (trial_folder(output, original.trial), trial_folder(output, trial.key)),
            ):
                shutil.copytree(here, there, copy_function=os.link)
    return len(plan)


# What a column of a copy holds, where it is not the original's.
_EXPRESSIONS: dict[Any, str] = {
    "run_uuid": ":run",
    ("runs", "name"): ":key",
    ("runs", "artifact_uri"): "replace(artifact_uri, :original, :run)",
    ("tags", "value"): (
        "CASE key WHEN 'iskpo.trial' THEN :key WHEN 'mlflow.runName' THEN :key WHEN 'iskpo.seed' THEN :seed "
        "ELSE value END"
    ),
    ("params", "value"): "CASE key WHEN 'seed' THEN :seed ELSE value END",
}
