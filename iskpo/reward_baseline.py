r"""KRPO's baseline: the reward of a prompt, filtered over its samples (Wang et al. 2025, arXiv 2505.07527).

GRPO's baseline is the mean reward of a prompt's samples. KRPO takes the rewards :math:`r_1 .. r_n` for noisy
measurements of one latent reward, and filters them one after another with a scalar Kalman filter that begins anew with
every prompt:

.. math::
    P^-_i = P_{i-1} + Q, \quad K_i = P^-_i/(P^-_i + R), \quad x_i = x_{i-1} + K_i (r_i - x_{i-1}), \quad
    P_i = (1 - K_i) P^-_i, \qquad A_i = \frac{r_i - x_i}{\sqrt{P_i} + \epsilon}

with :math:`x_0 = 0`, :math:`P_0 = 1`, Q = 1e-5, R = 1e-2 and :math:`\epsilon` = 1e-8, as in the authors' code
(``group_advantages`` in train.py of github.com/billhhh/KRPO_LLMs_RL, whose defaults these are).

It is the filter that KPO runs over log ratios, with V = R and without clipping, so gains and variances are those of
`iskpo.closed_form`: K_i depends on i alone and P_i = R K_i. Two properties to know of. A sample's advantage depends on
its place among the samples; its own reward is in the baseline that it is compared with, and of the first sample hardly
anything but its own. And advantages are larger than GRPO's, since sqrt(P_i) falls as 0.1/sqrt(i).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from iskpo.closed_form import gain_table

PROCESS_NOISE, MEASUREMENT_NOISE, FIRST_VARIANCE, EPSILON = 1e-5, 1e-2, 1.0, 1e-8


def kalman_advantages(
    *, rewards: npt.NDArray[np.float64], groups: npt.NDArray[Any], counted: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Advantages of samples against the filtered reward of their prompts.

    Args:
        rewards: Rewards (n,), finite where they count.
        groups: Which prompt each sample answers (n,); the samples of a prompt need not stand together, and are filtered
            in the order in which they stand.
        counted: Which samples are trained on (n,); all by default. The others are passed over as if they were not
            there, whatever their reward is.

    Returns:
        Advantages (n,), in the order of the rewards; 0 for samples that do not count.

    Raises:
        ValueError: Different lengths, or a reward that is not finite.

    Example:
        >>> kalman_advantages(rewards=np.array([1.0, 0.0]), groups=np.array(["a", "a"])).round(3).tolist()
        [0.1, -7.048]
    """
    rewards = np.asarray(rewards, dtype=np.float64)
    if rewards.shape != groups.shape or rewards.ndim != 1:
        raise ValueError(f"every reward needs a group, got {rewards.shape} rewards and {groups.shape} groups")
    if counted is not None and not counted.all():
        advantages = np.zeros_like(rewards)
        advantages[counted] = kalman_advantages(rewards=rewards[counted], groups=groups[counted])
        return advantages
    if len(bad := np.flatnonzero(~np.isfinite(rewards))):
        row = bad[0]
        sample = np.count_nonzero(groups[:row] == groups[row])
        raise ValueError(
            f"the reward of sample {sample} of prompt {groups[row]} is {rewards[row]}; rewards must be finite "
            f"({len(bad)} of these {len(rewards)} are not)"
        )
    _, group = np.unique(groups.astype(str), return_inverse=True)
    # The place of each sample among those of its prompt: rows sorted by prompt, less where the prompt begins.
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    place = np.empty_like(group)
    place[order] = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
    gains = gain_table(q=PROCESS_NOISE, v=MEASUREMENT_NOISE, p0=FIRST_VARIANCE, length=int(counts.max(initial=0)))
    estimate = np.zeros(len(counts))
    advantages = np.empty_like(rewards)
    for number, gain in enumerate(gains):
        rows = np.flatnonzero(place == number)
        # What is left of the innovation: r - (x + K (r - x)), without the difference of two close numbers.
        innovation = rewards[rows] - estimate[group[rows]]
        estimate[group[rows]] += gain * innovation
        advantages[rows] = (1 - gain) * innovation / (np.sqrt(MEASUREMENT_NOISE * gain) + EPSILON)
    return advantages
