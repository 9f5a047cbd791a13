"""What a trial reserves in a cluster, and how many fit in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.engine.ray_cluster import REPLAY, check_room, room_for, slot_bundles, tune_resources
from sweep.input.errors import UserError
from sweep.profiles.profile import available_profiles, load_profile


def _node(*, cpus: float, gpus: float, alive: bool = True) -> dict[str, object]:
    return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}}


@pytest.mark.parametrize("name", available_profiles())
@pytest.mark.parametrize("gpus", [None, 1, 4])
def test_verl_is_given_what_is_reserved(name: str, gpus: int | None) -> None:
    profile = load_profile(name).with_gpus(gpus)
    *workers, helpers = slot_bundles(profile)
    assert len(workers) == profile.verl["trainer.n_gpus_per_node"] * profile.verl["trainer.nnodes"] == (gpus or 1)
    assert all(bundle == {"CPU": 3, "GPU": 1} for bundle in workers)
    assert "GPU" not in helpers
    if profile.device == "cpu":
        # A cluster that is started here has room for it.
        assert sum(bundle["CPU"] for bundle in slot_bundles(load_profile(name))) <= profile.ray.logical_cpus


def test_tune_reserves_it_on_one_node_and_gives_the_runner_nothing() -> None:
    request = tune_resources(slot_bundles(load_profile("tiny")))
    assert (request.head_bundle_is_empty, request.strategy) == (True, "STRICT_PACK")
    assert request.bundles == [{"CPU": 3, "GPU": 1}, {"CPU": 4}]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8), st.booleans()), max_size=5), st.integers(1, 4))
def test_room_is_what_can_be_taken_out_of_each_node_one_after_another(
    cluster: list[tuple[int, int, bool]], gpus: int
) -> None:
    bundles = ({"CPU": 3, "GPU": 1},) * gpus + ({"CPU": 4},)
    taken = 0
    for cpus, devices, alive in cluster:
        while alive and cpus >= 3 * gpus + 4 and devices >= gpus:
            cpus, devices, taken = cpus - 3 * gpus - 4, devices - gpus, taken + 1
    nodes = [_node(cpus=cpus, gpus=devices, alive=alive) for cpus, devices, alive in cluster]
    assert room_for(bundles=bundles, nodes=nodes) == taken


def test_too_little_room_is_said_and_none_is_refused() -> None:
    bundles = slot_bundles(load_profile("tiny"))
    nodes = [_node(cpus=8, gpus=1), _node(cpus=64, gpus=0), _node(cpus=64, gpus=8, alive=False)]
    assert check_room(bundles=bundles, nodes=nodes, slots=1) == ""
    assert check_room(bundles=REPLAY, nodes=nodes, slots=72) == ""
    assert "room for 1 (a trial takes 1 GPUs and 7 CPUs of one node)" in check_room(
        bundles=bundles, nodes=nodes, slots=2
    )
    with pytest.raises(UserError, match=r"7 CPUs of one node; its nodes \(1\) have 0 GPUs and 64 CPUs each"):
        check_room(bundles=bundles, nodes=nodes[1:], slots=1)
