"""The token level: what fine-tuning did to the next-token distributions (docs/studies.md §4).

Two measures
- That of *Token and Parameter Levels*: for each level-4 test fact the first predicted token, the tuned model on the
  fine-tuning prompt, the base on its relation's best mapping template; the tuned model's ten largest logits and the
  base's logits of the same ten entries, a softmax over each ten, KL = sum of p ln(p / p'), p being the tuned model's.
- Over the whole vocabulary and in both directions: after every token of an answer (both models read the same question
  with its answer) and in general text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recollect.chat.asking import Asking
from recollect.core.texts import read_texts
from recollect.drift.kl import CHUNK, Divergences, Floats, Head, Reading, divergences, head_of, hidden_states, losses
from recollect.drift.settings import AskSettings
from recollect.errors import InputError
from recollect.facts import Fact, Relation
from recollect.generate.encoding import check_context, context_limit, prompt_ids
from recollect.models import find_model
from recollect.shipped import text_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from recollect.models import LoadedModel

_PLAINLY = Asking()
TOP = 10
"""How many of the tuned model's logits the paper's measure looks at."""


@dataclass(frozen=True)
class Seen:
    """What a model made of some texts: final hidden states by text kind, and the head that turns them into logits."""

    hidden: Mapping[str, torch.Tensor]
    head: Head


def see(loaded: LoadedModel, readings: Mapping[str, Sequence[Reading]], batch_size: int = 32) -> Seen:
    """Read the texts of each kind; the model can be dropped afterwards."""
    for kind, texts in readings.items():
        names = [f"text {number} of the {kind}" for number in range(1, len(texts) + 1)]
        check_context(context_limit(loaded.model.config), [reading.ids for reading in texts], names)
    states = {kind: hidden_states(loaded.model, texts, batch_size) for kind, texts in readings.items() if texts}
    return Seen(states, head_of(loaded.model))


# -- what is read ----------------------------------------------------------------------------------------------


def answer_readings(
    tokenizer: PreTrainedTokenizerBase, facts: Sequence[Fact], asking: Asking = _PLAINLY
) -> list[Reading]:
    """The fine-tuning prompt with its answer and end token; the distributions that those tokens are drawn from."""
    readings = []
    for fact in facts:
        ids, mask = asking.example(tokenizer, fact.question, fact.object)
        readings.append(Reading(tuple(ids), tuple(at - 1 for at, answer in enumerate(mask) if answer)))
    return readings


def text_length(loaded: LoadedModel, longest: int = 512) -> int:
    """How many tokens of a document the model reads: `longest`, or its context where that is shorter."""
    return min(longest, context_limit(loaded.model.config) or longest)


def text_readings(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, longest: int = 512, tokens: int | None = None
) -> list[Reading]:
    """Documents cut at `longest` tokens, every token after the first predicted; about `tokens` tokens in all."""
    readings: list[Reading] = []
    count = 0
    for text in texts:
        ids = tuple(prompt_ids(tokenizer, [text])[0])[:longest]
        if len(ids) < 2:
            continue
        readings.append(Reading(ids, tuple(range(len(ids) - 1))))
        count += len(ids) - 1
        if tokens is not None and count >= tokens:
            break
    return readings


def general_text(settings: AskSettings, base: str) -> list[str]:
    """The general text of the settings; the pocket brings its own."""
    return read_texts(settings.text or str(text_of(find_model(base, settings.revision)) or ""))


def question_readings(
    tokenizer: PreTrainedTokenizerBase, facts: Sequence[Fact], asking: Asking = _PLAINLY
) -> list[Reading]:
    """The fine-tuning prompt; the distribution of the first token of its answer."""
    return [_last(asking.prompt(tokenizer, fact.question)) for fact in facts]


def mapping_readings(
    tokenizer: PreTrainedTokenizerBase,
    facts: Sequence[Fact],
    relations: Mapping[str, Relation],
    best: Mapping[str, int],
    chat: bool = False,
) -> list[Reading]:
    """The best mapping prompt of each fact's relation; the distribution of the token that follows it.

    chat: in the model's own chat template, as the probe asked that found which is best.
    """
    texts = [relations[fact.relation].templates[best[fact.relation]].replace("[X]", fact.subject) for fact in facts]
    asked = [Asking(chat=True).prompt(tokenizer, text) for text in texts] if chat else prompt_ids(tokenizer, texts)
    return [_last(ids) for ids in asked]


def best_templates(templates: pl.DataFrame) -> dict[str, int]:
    """The mapping template with the highest hit rate of each relation (of equal ones the first).

    `templates` is a probe's templates.parquet: relation, template, rate.
    """
    ranked = templates.sort(["relation", "rate", "template"], descending=[False, True, False])
    first = ranked.group_by("relation", maintain_order=True).first()
    return dict(zip(first["relation"].to_list(), first["template"].to_list(), strict=True))


def known_best(facts: Sequence[Fact], levels: pl.DataFrame, level: int = 4) -> list[Fact]:
    """The in-domain test facts of a level, in order."""
    ids = set(levels.filter(pl.col("level") == level)["fact_id"].to_list())
    return [fact for fact in facts if fact.part == "test" and fact.id in ids]


def _last(ids: Sequence[int]) -> Reading:
    return Reading(tuple(ids), (len(ids) - 1,))


# -- what is made of it ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FirstTokens:
    """The paper's measure by fact: `kl` [facts]; the ten entries and their shares, [facts, 10]."""

    kl: Floats
    ids: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    tuned: Floats
    base: Floats


def first_token_kl(
    tuned: torch.Tensor, tuned_head: Head, base: torch.Tensor, base_head: Head, *, top: int = TOP
) -> FirstTokens:
    """The paper's KL from the hidden states of the tuned and the base model, [facts, d] each; in nats."""
    import torch

    size = min(tuned_head.size, base_head.size)
    ids, p_logits, q_logits = [], [], []
    with torch.inference_mode():
        for at in range(0, len(tuned), 64):
            logits = tuned_head.logits(tuned[at : at + 64].to(tuned_head.weight.device), 0, size)
            largest, chosen = logits.topk(min(top, size), dim=1)
            others = base_head.logits(base[at : at + 64].to(base_head.weight.device), 0, size)
            ids.append(chosen.cpu())
            p_logits.append(largest.cpu().double())
            q_logits.append(others.gather(1, chosen.to(others.device)).cpu().double())
        kl, p, q = ten_logit_kl(torch.cat(p_logits), torch.cat(q_logits))
    return FirstTokens(kl.numpy(), torch.cat(ids).numpy(), p.numpy(), q.numpy())


def ten_logit_kl(tuned: torch.Tensor, base: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """KL = sum p ln(p / p') over the given entries, p and p' softmaxed over those alone; also gives p and p'."""
    import torch

    log_p, log_q = torch.log_softmax(tuned, dim=1), torch.log_softmax(base, dim=1)
    kl = (log_p.exp() * (log_p - log_q)).sum(dim=1).clamp(min=0)
    return kl, log_p.exp(), log_q.exp()


@dataclass(frozen=True)
class Compared:
    """Both models on one kind of text, token by token: divergences (forward = tuned from base) and losses in nats."""

    divergence: Divergences
    tuned_loss: Floats
    base_loss: Floats


def compare(kind: str, readings: Sequence[Reading], tuned: Seen, base: Seen, *, chunk: int = CHUNK) -> Compared:
    """Compare two models on the texts of one kind that both have read."""
    targets = [reading.ids[at + 1] for reading in readings for at in reading.at]
    return Compared(
        divergences(tuned.hidden[kind], tuned.head, base.hidden[kind], base.head, chunk=chunk),
        losses(tuned.hidden[kind], tuned.head, targets, chunk=chunk),
        losses(base.hidden[kind], base.head, targets, chunk=chunk),
    )


def check_same_tokens(tuned: Sequence[Reading], base: Sequence[Reading]) -> None:
    """Both tokenizers must give the same ids; InputError else."""
    if [reading.ids for reading in tuned] != [reading.ids for reading in base]:
        raise InputError(
            "the tokenizers of the base and the tuned model give different ids for the same text, so their next-token "
            "distributions cannot be compared. Use the base's tokenizer for both, or take --no-tokens."
        )


def general_loss(
    loaded: LoadedModel, texts: list[str], *, tokens: int | None = None, batch_size: int = 32
) -> float | None:
    """Mean -ln p of each token given those before it, in nats; None without texts."""
    readings = text_readings(loaded.tokenizer, texts, longest=text_length(loaded), tokens=tokens)
    if not readings:
        return None
    targets = [reading.ids[at + 1] for reading in readings for at in reading.at]
    hidden = hidden_states(loaded.model, readings, batch_size)
    return float(losses(hidden, head_of(loaded.model), targets).mean())
