"""Every setting that a warm slot takes over in place: the trial is the one that a cold slot would have run.

Run by hand with ``-m slow``: eight starts of verl and vLLM.
"""

import math
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from iskpo.verl.names import ECHOES
from sweep.arms.verl_settings import IN_PLACE, SHORT_NAMES
from sweep.store.study_folder import tracking_uri

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

_VALUES: dict[str, float | str] = {
    "lr": 1e-3,
    "eps_low": 1e-4,
    "eps_high": 1e-6,
    "clip": 1e-4,
    "samples_per_prompt": 8,
    "mini_batch": 2,
    "temperature": 0.7,
    "overlong_buffer": 30,
    "outside_share": 0.5,
    "rollout_correction": "bypass",
}
# verl does not know it, so that it changes nothing but that no warm slot will do.
_FRESH = "+trainer.fresh"


def _study() -> str:
    lines = [f"{{name: warm-{name}, q: 1e-4, v: 1, {name}: {value}}}" for name, value in _VALUES.items()]
    # The way back: what an arm before had changed is as it was.
    lines = ["{name: cold-back, q: 1e-4, v: 1}", *lines, "{name: warm-back, q: 1e-4, v: 1, kappa: 100}"]
    lines += [
        f"{{name: cold-{name}, q: 1e-4, v: 1, {name}: {value}, {_FRESH}: {number}}}"
        for number, (name, value) in enumerate(_VALUES.items())
    ]
    arms = "".join(f"    - {line}\n" for line in lines)
    keys = "name: axes\nprofile: tiny\nsteps: 2\ntwins: train\neval: {samples: 1}\n"
    return f"{keys}space:\n  kind: arms\n  arms:\n{arms}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[MlflowClient, dict[str, Run]]:
    folder = tmp_path_factory.mktemp("axes")
    (folder / "axes.yaml").write_text(_study(), encoding="utf-8")
    program, output = Path(sys.executable).with_name("iskpo-sweep"), folder / "output"
    command = [str(program), "run", str(folder / "axes.yaml"), "--output", str(output)]
    subprocess.run(command, check=True, timeout=7200)
    assert len(list((output / "slots").iterdir())) == 1 + len(_VALUES)
    client = MlflowClient(tracking_uri=tracking_uri(output))
    experiment = client.get_experiment_by_name("axes")
    assert experiment is not None
    return client, {str(run.info.run_name): run for run in client.search_runs([experiment.experiment_id])}


def test_every_short_name_is_here() -> None:
    assert set(_VALUES) == set(SHORT_NAMES)
    assert set(ECHOES) == IN_PLACE - set(SHORT_NAMES["rollout_correction"].keys)


@pytest.mark.parametrize("name", [*_VALUES, "back"])
def test_a_warm_trial_is_the_trial_that_a_cold_slot_would_have_run(
    runs: tuple[MlflowClient, dict[str, Run]], name: str
) -> None:
    client, of_name = runs
    warm, cold = of_name[f"warm-{name}_s0"], of_name[f"cold-{name}_s0"]
    # Times differ, and vLLM's own log probabilities, which are only logged: their last bits depend on what else is in a
    # batch, and so on the order of arrival.
    names = {
        metric
        for metric in set(warm.data.metrics) & set(cold.data.metrics)
        if not metric.startswith(("timing_s/", "actor/perf/", "rollout_corr/", "system/"))
    }
    assert len(names) > (20 if name == "rollout_correction" else 30)
    for metric in names:
        first, second = (
            [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]
            for run in (warm, cold)
        )
        if name == "rollout_correction":
            # Here they are trained on. Before the first update all innovations are rounding, whose shape is of no kind.
            assert [step for step, _ in first] == [step for step, _ in second]
            if metric != "innovation/update_0/kurtosis":
                expected = pytest.approx([value for _, value in second], rel=1e-4, abs=1e-5)
                assert [value for _, value in first] == expected, metric
        else:
            assert first == second, metric
    if isinstance(value := _VALUES.get(name), str):
        assert warm.data.params[name] == value
    elif value is not None:
        assert math.isclose(float(warm.data.params[name]), value)


@pytest.mark.parametrize("name", _VALUES)
def test_the_setting_makes_a_difference(runs: tuple[MlflowClient, dict[str, Run]], name: str) -> None:
    plain, other = (runs[1][key].data.metrics for key in ("cold-back_s0", f"warm-{name}_s0"))
    assert plain["actor/grad_norm"] != other["actor/grad_norm"]
