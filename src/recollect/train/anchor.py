"""A training that is held to its base: loss = the answers' loss + weight x KL(base || model), in nats per token.

    KL = 1 / tokens x sum over tokens of sum over v of base(v) ln(base(v) / model(v))

over the distributions of the next token after every token that has one, on the task's own inputs (the prompt and the
answer) or on general text. Learning without Forgetting (Li and Hoiem 2016, arXiv 1606.09282) adds the old model's
outputs on the new task's inputs as soft targets, there at temperature 2, here at 1; as a KL to the model that a tuning
starts from it is the penalty of Ziegler et al. (2019, arXiv 1909.08593), there in the other direction.

Notable choices
- The base of an adapter is the same model with the adapter off; that of a full training is a frozen copy. Both answer
  in evaluation mode, without a gradient, and draw no random number: dropout falls as it would without an anchor.
- What is not the base with its adapter off is refused by name, and so are several processes.
- Which texts an update reads follows from the seed and the update's number, so a resumed training reads the same.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recollect.core.random import draw
from recollect.core.texts import read_texts
from recollect.errors import InputError
from recollect.generate.encoding import context_limit, prompt_ids
from recollect.models import ModelRef
from recollect.shipped import text_of
from recollect.train.lora_fields import CHANGES_BASE
from recollect.train.settings import TrainSettings

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

Ids = tuple[int, ...]
Inputs = dict[str, "torch.Tensor"]

LONGEST = 128
"""Tokens that are read of a document: an update is of short questions, and must not take long for its anchor."""


def anchor_texts(settings: TrainSettings, ref: ModelRef, processes: int) -> tuple[str, ...]:
    """The general text that a training is held to its base on; () for none. Raises InputError for an anchor that
    cannot be."""
    if not settings.anchor:
        return ()
    if why := why_not_anchored(settings, processes):
        raise InputError(f"anchor {settings.anchor:g} does not go with {why}. Leave out the one or the other.")
    if settings.anchor_on == "inputs":
        return ()
    texts = read_texts(settings.anchor_text or str(text_of(ref.folder) or ""))
    if not texts:
        raise InputError(
            "anchor_on text needs general text, but none was given. Name a .txt (a document a line) or a .jsonl (key "
            "text) with --anchor-text, or take --anchor-on inputs."
        )
    return tuple(texts)


def why_not_anchored(settings: TrainSettings, processes: int = 1) -> str:
    """What of a training's settings an anchor does not go with; "" where it can have one.

    Examples:
        >>> from recollect import TrainSettings
        >>> why_not_anchored(TrainSettings.make(method="lora"))
        ''
        >>> why_not_anchored(TrainSettings.make(method="lora", lora_bias="all"))
        "lora_bias all, which changes the base's own biases"
    """
    lora = settings.method == "lora"
    refused = {
        f"lora_init {settings.lora_init}, which takes parts out of the base": settings.lora_init in CHANGES_BASE,
        f"lora_bias {settings.lora_bias}, which changes the base's own biases": settings.lora_bias != "none",
        "lora_modules_to_save, which trains modules of the base": bool(settings.lora_modules_to_save),
    }
    if (count := max(processes, settings.processes)) > 1:
        return f"{count} processes (or sharding fsdp), which each hold a part alone"
    return next((reason for reason, true in refused.items() if true and lora), "")


def text_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], config: PretrainedConfig) -> tuple[Ids, ...]:
    """Documents as tokens, the beginning of each. Raises InputError where none has two tokens."""
    longest = min(LONGEST, context_limit(config) or LONGEST)
    found = tuple(tuple(ids)[:longest] for ids in prompt_ids(tokenizer, list(texts))) if texts else ()
    kept = tuple(ids for ids in found if len(ids) > 1)
    if texts and not kept:
        raise InputError("the general text of the anchor must have a document of at least 2 tokens, but has none.")
    return kept


def anchor_of(settings: TrainSettings, model: Any, texts: Sequence[Ids]) -> Anchor | None:
    """What holds this training, just before it begins; None where nothing does. model: with its adapters."""
    if not settings.anchor:
        return None
    teacher = None
    if settings.method == "full":
        teacher = copy.deepcopy(model).eval().requires_grad_(False)
    order = sorted(range(len(texts)), key=lambda at: draw(settings.seed, "anchor-text", str(at)))
    return Anchor(settings.anchor, teacher, tuple(texts[at] for at in order), settings.batch_size)


@dataclass
class Anchor:
    """The base beside a model that learns, and what is counted while it does."""

    weight: float
    teacher: Any
    """A frozen copy of the base; None for adapters, which are switched off instead."""
    texts: tuple[Ids, ...] = ()
    """Without any, it is held on the inputs."""
    batch_size: int = 8
    """Texts of an update."""
    tokens: int = 0
    """Of the update at work, all pieces together."""
    divergences: list[torch.Tensor] = field(default_factory=list)
    """Of its pieces so far, each its part of the mean."""
    waiting: list[Inputs] = field(default_factory=list)
    """Texts of the pieces to come."""

    @property
    def on_inputs(self) -> bool:
        """Whether it is held on the examples themselves."""
        return not self.texts

    def begin(self, update: int, pieces: Sequence[Mapping[str, torch.Tensor]]) -> None:
        """A new update of these pieces."""
        self.divergences, self.tokens = [], 0
        if self.on_inputs:
            self.tokens = sum(int(_predicting(piece["attention_mask"]).sum()) for piece in pieces)
        elif pieces:
            first = update * self.batch_size
            mine = [self.texts[(first + at) % len(self.texts)] for at in range(self.batch_size)]
            self.tokens = sum(len(ids) - 1 for ids in mine)
            self.waiting = [_padded(mine[at :: len(pieces)]) for at in range(len(pieces))]

    def piece(self, inputs: Mapping[str, torch.Tensor], device: Any) -> Inputs:
        """What the next piece is read on."""
        if self.on_inputs:
            return {name: value for name, value in inputs.items() if name not in ("labels", "use_cache")}
        return {name: value.to(device) for name, value in self.waiting.pop(0).items()}

    def base_logits(self, model: Any, read: Inputs) -> torch.Tensor:
        """Logits of the base, [texts, places, vocabulary]."""
        import torch

        with torch.no_grad():
            if self.teacher is not None:
                found: torch.Tensor = self.teacher(**read, use_cache=False).logits
                return found
            model.eval()
            try:
                with model.disable_adapter():
                    found = model(**read, use_cache=False).logits
            finally:
                model.train()
            return found

    def loss(self, base: torch.Tensor, own: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """This piece's part of weight x KL(base || model) per token of the update."""
        counts = _predicting(mask)
        found = divergence(base[:, :-1][counts], own[:, :-1][counts]).sum() / max(1, self.tokens)
        self.divergences.append(found.detach())
        return self.weight * found

    @property
    def notes(self) -> tuple[str, ...]:
        """What the finished training says of it."""
        where = "the examples" if self.on_inputs else "general text"
        last = sum(float(one) for one in self.divergences)
        was = f"which was {last:.4f} nats per token in the last update; " if self.divergences else ""
        return (
            f"held to the base by {self.weight:g} x KL(base || model) on {where}, {was}the log's losses include it",
        )


def divergence(base: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """KL(base || model) from the logits of both, [tokens, vocabulary], in nats of each token; computed in float32."""
    p, q = base.float().log_softmax(-1), own.float().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)


def _predicting(mask: torch.Tensor) -> torch.Tensor:
    """Which places but the last hold a token that has a next one."""
    return (mask[:, :-1] * mask[:, 1:]).bool()


def _padded(texts: Sequence[Ids]) -> Inputs:
    import torch

    ids = torch.zeros((len(texts), max(map(len, texts), default=2)), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.as_tensor(text)
        mask[row, : len(text)] = 1
    return {"input_ids": ids, "attention_mask": mask}
