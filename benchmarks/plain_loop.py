"""One trial of the embedded task without verl, vLLM and Ray: transformers' generation, iskpo's objective, AdamW.

The baseline that a training step of the product is held against, and a quick way to try a recipe: it samples by other
random numbers than the product and computes with two threads, so its accuracies agree with the product's only as those
of two seeds do.

    python benchmarks/plain_loop.py --arm grpo --lr 2e-4 --steps 40
    python benchmarks/plain_loop.py --arm 1e-2,1,inf --lr 2e-4 --prompts 24 --samples 8 --updates 4
"""

import argparse
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from iskpo.objective import kalman_clipped_objective
from iskpo.settings import FilterSettings
from sweep.tasks.arithmetic import problems
from sweep.tasks.arithmetic.prepare import PreparedTask, prepare
from sweep.tasks.arithmetic.recipe import Recipe
from sweep.tasks.arithmetic.reward import compute_score
from sweep.tasks.arithmetic.tokenizer import encode_prompt
from sweep.tasks.registry import cache_folder


@dataclass(frozen=True)
class Sizes:
    """What one step works on."""

    prompts: int = 24
    samples: int = 8
    updates: int = 4


@dataclass
class Rollout:
    """Sampled responses; tensors are (B, T) over prompt and response, prompts padded on the left."""

    tokens: Tensor
    attention: Tensor
    response: Tensor
    rewards: Tensor
    width: int
    """Columns of the prompt."""


@dataclass
class Loop:
    """A policy being trained.

    Attributes:
        arm: Settings of the filter, or None for GRPO's unfiltered ratio.
        bounds: Of the ratio, below and above 1.
    """

    task: PreparedTask
    arm: FilterSettings | None
    bounds: tuple[float, float]
    lr: float
    sizes: Sizes
    seed: int
    lottery: bool = False
    seconds: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Load the taught model."""
        self.model = AutoModelForCausalLM.from_pretrained(self.task.model_dir, dtype=torch.float32)
        self.tokenizer = AutoTokenizer.from_pretrained(self.task.model_dir)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.lr, betas=(0.9, 0.999), weight_decay=0.1)
        self.stream = problems.training_problems(purpose="rl", seed=self.seed)
        torch.manual_seed(self.seed)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - began

    def step(self) -> dict[str, float]:
        """Sample, compute advantages and old log-probabilities, and update."""
        asked = list(itertools.islice(self.stream, self.sizes.prompts))
        with self._timed("sampling"):
            rollout = self.sample(asked, self.sizes.samples)
        if self.lottery:
            rollout.rewards = torch.bernoulli(torch.full_like(rollout.rewards, 0.5))
        groups = rollout.rewards.view(self.sizes.prompts, -1)
        advantages = (groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-6)
        advantages = advantages.view(-1, 1)
        with self._timed("old log-probabilities"), torch.no_grad():
            old = self.log_probs(rollout, slice(None))
        seen: dict[str, list[float]] = {"outside": [], "clipped": [], "largest": [], "gradient": []}
        rows = len(rollout.rewards) // self.sizes.updates
        with self._timed("update"):
            for start in range(0, len(rollout.rewards), rows):
                part = slice(start, start + rows)
                self._update(rollout, part, advantages[part], old[part], seen)
        means = {name: fmean(values) for name, values in seen.items() if name != "largest"}
        return {"reward": rollout.rewards.mean().item(), **means, "largest": max(seen["largest"], default=0.0)}

    def _update(
        self, rollout: Rollout, part: slice, advantages: Tensor, old: Tensor, seen: dict[str, list[float]]
    ) -> None:
        log_prob, mask = self.log_probs(rollout, part), rollout.response[part]
        low, high = self.bounds
        if self.arm is None:
            ratio = (log_prob - old).exp()
            token_loss = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - low, 1 + high))
            outside = ((ratio < 1 - low) & (advantages < 0)) | ((ratio > 1 + high) & (advantages > 0))
            innovations, clipped = (log_prob - old).detach(), torch.zeros_like(mask)
        else:
            result = kalman_clipped_objective(
                log_prob=log_prob,
                old_log_prob=old,
                advantages=advantages.expand_as(log_prob),
                mask=mask,
                settings=self.arm,
                eps_low=low,
                eps_high=high,
            )
            token_loss, outside = result.token_loss, result.ratio_clipped
            innovations, clipped = result.filtered.innovation, result.filtered.clipped
        of_sequences = (token_loss * mask).sum(1) / mask.sum(1)
        self.optimizer.zero_grad()
        of_sequences.mean().backward()
        seen["gradient"].append(float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)))
        self.optimizer.step()
        seen["outside"].append((outside & mask).sum().item() / mask.sum().item())
        seen["clipped"].append((clipped.bool() & mask).sum().item() / mask.sum().item())
        seen["largest"].append(innovations[mask].abs().max().item())

    def log_probs(self, rollout: Rollout, rows: slice) -> Tensor:
        """Return the log-probabilities of the responses' tokens, (B, T of the response)."""
        attention = rollout.attention[rows]
        positions = (attention.cumsum(1) - 1).clamp(min=0)
        hidden = self.model.model(
            input_ids=rollout.tokens[rows], attention_mask=attention, position_ids=positions, use_cache=False
        ).last_hidden_state
        logits = self.model.lm_head(hidden[:, rollout.width - 1 : -1])
        targets = rollout.tokens[rows, rollout.width :]
        return torch.log_softmax(logits, -1).gather(2, targets.unsqueeze(2)).squeeze(2)

    @torch.no_grad()
    def sample(self, asked: Sequence[problems.Problem], samples: int) -> Rollout:
        """Answer each problem ``samples`` times at temperature 1."""
        prompts = [encode_prompt(self.tokenizer, one.question) for one in asked for _ in range(samples)]
        padded = self.tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
        width, end = padded["input_ids"].shape[1], self.tokenizer.eos_token_id
        tokens = self.model.generate(
            **padded, max_new_tokens=problems.MAX_RESPONSE_TOKENS, do_sample=True, temperature=1.0, top_k=0, top_p=1.0
        )
        answers = tokens[:, width:]
        ended = (answers == end).int().cumsum(1) - (answers == end).int()
        response = ended == 0
        truths = [one.answer for one in asked for _ in range(samples)]
        texts = self.tokenizer.batch_decode(
            [row[kept].tolist() for row, kept in zip(answers, response, strict=True)], skip_special_tokens=True
        )
        rewards = [compute_score("arithmetic", text, truth)["score"] for text, truth in zip(texts, truths, strict=True)]
        attention = torch.cat([padded["attention_mask"], response.long()], 1)
        return Rollout(tokens, attention, response, torch.tensor(rewards), width)

    def accuracy(self, held_out: Sequence[problems.Problem], *, seed: int) -> float:
        """Mean over one sample of each problem; the training's random numbers are left as they were."""
        with torch.random.fork_rng(devices=[]), self._timed("evaluation"):
            torch.manual_seed(seed)
            return self.sample(held_out, 1).rewards.mean().item()


def parse_arm(text: str) -> FilterSettings | None:
    """``grpo``, ``none`` (a gain of 1) or Q,V,kappa."""
    if text == "grpo":
        return None
    if text == "none":
        return FilterSettings(q=1e15, v=1.0)
    q, v, kappa = map(float, text.split(","))
    return FilterSettings(q=q, v=v, kappa=kappa)


def main() -> None:
    """Train one arm and print what came of it, one JSON line an evaluation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", default="grpo", help="grpo, none, or Q,V,kappa")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prompts", type=int, default=Sizes.prompts)
    parser.add_argument("--samples", type=int, default=Sizes.samples)
    parser.add_argument("--updates", type=int, default=Sizes.updates)
    parser.add_argument("--eps", type=float, nargs=2, help="bounds of the ratio below and above 1 [by arm]")
    parser.add_argument("--slips", type=float, help="chance that a lesson of the model's teaching forgets a carry")
    parser.add_argument("--lottery", action="store_true", help="rewards by lot: a negative control")
    parser.add_argument("--every", type=int, default=20, help="steps between evaluations")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    arm = parse_arm(chosen.arm)
    recipe = Recipe() if chosen.slips is None else Recipe(slips=chosen.slips)
    loop = Loop(
        task=prepare(cache=cache_folder(), recipe=recipe),
        arm=arm,
        bounds=tuple(chosen.eps) if chosen.eps else (0.2, 0.2) if arm is None else (3e-4, 4e-4),
        lr=chosen.lr,
        sizes=Sizes(chosen.prompts, chosen.samples, chosen.updates),
        seed=chosen.seed,
        lottery=chosen.lottery,
    )
    held_out = list(problems.held_out_problems())
    label = {"arm": chosen.arm, "lr": chosen.lr, "seed": chosen.seed, "slips": recipe.slips, "lottery": chosen.lottery}
    recent: list[dict[str, float]] = []
    for step in range(chosen.steps + 1):
        if step % chosen.every == 0 or step == chosen.steps:
            means = {name: round(fmean(one[name] for one in recent), 4) for name in (recent or [{}])[0]}
            spent = {f"s/step {name}": round(value / max(1, step), 2) for name, value in loop.seconds.items()}
            accuracy = round(100 * loop.accuracy(held_out, seed=step), 1)
            print(json.dumps({**label, "step": step, "accuracy": accuracy, **means, **spent}), flush=True)
            recent = []
        if step < chosen.steps:
            recent.append(loop.step())


if __name__ == "__main__":
    main()
