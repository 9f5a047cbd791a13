"""The policy losses and advantage estimators that an arm can train with, and the verl settings that each stands for.

``iskpo`` is this project's loss. The others are its neighbours in the literature, as verl 0.9.1 has them, each with the
bounds and the aggregation of its paper (or of verl's example, where the paper leaves it open). What is not the loss is
left out: no KL term and no entropy term, so that arms differ in one thing. DAPO's shaping of overlong rewards is an
option of any arm, ``overlong_buffer``.

Three are not as verl 0.9.1 has them. Its ``geo_mean`` averages over a micro-batch where it should over the mini-batch,
so GMPO's loss is this project's (`iskpo.verl.gmpo`). Its dynamic sampling takes whichever prompts vLLM has finished
first and so never trains twice on the same; here it draws in rounds (`iskpo.verl.dynamic_sampling`). It divides DPPO's
sums over tokens by the width of a micro-batch; here it is told the longest response.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from iskpo.verl.names import GMPO

Loss = Literal["iskpo", "grpo", "dapo", "gspo", "gmpo", "cispo", "sapo", "dppo_tv", "dppo_kl"]
Advantage = Literal["grpo", "rloo", "opo", "reinforce_plus_plus_baseline", "krpo"]

ISKPO: Loss = "iskpo"
ACTOR = "actor_rollout_ref.actor"


@dataclass(frozen=True)
class Neighbour:
    """A policy loss.

    Attributes:
        title: What its paper calls it.
        source: The paper.
        loss_mode: The name that verl finds it by.
        aggregation: verl's name of how token losses become one number.
        clip: What is limited, from -clip[0] to clip[1]; None where nothing is.
        settings: Further settings of verl's actor.
        dynamic_sampling: Whether prompts whose samples all got the same reward are replaced by others.
        limited: What `clip` limits, and how, in words.
    """

    title: str
    source: str
    loss_mode: str
    aggregation: str
    clip: tuple[float, float] | None
    settings: dict[str, Any] = field(default_factory=dict)
    dynamic_sampling: bool = False
    limited: str = "ratio - 1 clipped"


_DPPO = "Qi et al. 2026, arXiv 2602.04879"
# As in verl's example of DPPO, in which the ratio is all but untruncated.
_DPPO_SETTINGS = {f"{ACTOR}.clip_ratio_c": 10000.0, f"{ACTOR}.loss_scale_factor": "${data.max_response_length}"}

NEIGHBOURS: dict[Loss, Neighbour] = {
    "grpo": Neighbour("GRPO", "Shao et al. 2024, arXiv 2402.03300", "vanilla", "seq-mean-token-mean", (0.2, 0.2)),
    "dapo": Neighbour(
        "DAPO",
        "Yu et al. 2025, arXiv 2503.14476",
        "vanilla",
        "token-mean",
        (0.2, 0.28),
        # verl's dual clip (a lower bound for negative advantages), as wide as in verl's DAPO recipe.
        {f"{ACTOR}.clip_ratio_c": 10.0},
        dynamic_sampling=True,
    ),
    "gspo": Neighbour("GSPO", "Zheng et al. 2025, arXiv 2507.18071", "gspo", "seq-mean-token-mean", (3e-4, 4e-4)),
    "gmpo": Neighbour(
        "GMPO",
        "Zhao et al. 2025, arXiv 2507.20673",
        GMPO,
        "seq-mean-token-mean",
        (0.4, 0.4),
        limited="log ratio clipped",
    ),
    # 10 is no lower bound: a ratio is never below 0.
    "cispo": Neighbour("CISPO", "MiniMax 2025, arXiv 2506.13585", "cispo", "token-mean", (10.0, 0.2)),
    "sapo": Neighbour(
        "SAPO",
        "Gao et al. 2025, arXiv 2511.20347",
        "sapo",
        "seq-mean-token-mean",
        None,
        {f"{ACTOR}.tau_pos": 1.0, f"{ACTOR}.tau_neg": 1.05},
    ),
    "dppo_tv": Neighbour(
        "DPPO (total variation)",
        _DPPO,
        "dppo_tv",
        "seq-mean-token-sum-norm",
        (0.15, 0.15),
        _DPPO_SETTINGS,
        limited="change of probability masked",
    ),
    "dppo_kl": Neighbour(
        "DPPO (KL)",
        _DPPO,
        "dppo_kl",
        "seq-mean-token-sum-norm",
        (0.05, 0.05),
        _DPPO_SETTINGS,
        limited="binary KL, with the change's sign, masked",
    ),
}
# What people may write instead, as verl calls it.
_VERL_NAMES = {neighbour.loss_mode: name for name, neighbour in reversed(NEIGHBOURS.items())} | {"geo_mean": "gmpo"}


def our_name(loss: str) -> str | None:
    """What a loss that was given by verl's name is called here, or None.

    >>> our_name("vanilla"), our_name("geo_mean"), our_name("nonsense")
    ('grpo', 'gmpo', None)
    """
    return _VERL_NAMES.get(loss)


ADVANTAGE_ESTIMATOR = "algorithm.adv_estimator"
_COMPARE_SAMPLES = frozenset(
    {*get_args(Advantage), "grpo_vectorized", "grpo_passk", "rloo_vectorized", "gpg", "gdpo", "optimal_token_baseline"}
)


def single_sample_problem(*, samples: Any, estimator: Any) -> str | None:
    """What is wrong with one sample a prompt where the advantage estimator compares a prompt's samples.

    verl then takes the reward itself for the advantage, without a baseline and without a word.
    """
    if str(samples) != "1" or estimator not in _COMPARE_SAMPLES:
        return None
    return f"one sample a prompt leaves {estimator} nothing to compare it with: set 2 or more"
