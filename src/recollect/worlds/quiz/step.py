"""`recollect pocket build`: a world or a fact set in, a pocket base and its facts out.

Notable choices
- Llama architecture, 4 layers x width 128, 1.3 million parameters, untied embeddings; weights stored in bfloat16.
- Byte-level BPE with the full byte alphabet: every string can be said, the fine-tuning markers included.
- Documents are packed into sequences of 128 tokens; one epoch over the mentions, each worded anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from recollect.core.settings import PathOrName, Settings
from recollect.core.workspace import DEFAULT_ROOT, open_step
from recollect.errors import InputError
from recollect.facts import FactSet, load_facts
from recollect.worlds.builder import BaseFound, BaseResult, Progress, Recipe, build_base, small_llama, train_bpe
from recollect.worlds.quiz.corpus import SHARED_TEMPLATES, render
from recollect.worlds.quiz.world import World, make_world, world_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class PocketSettings(Settings):
    """How a pocket base is built.

    Examples:
        >>> from recollect import PocketSettings
        >>> PocketSettings.make(seed=1, mentions=24).mentions
        24.0
    """

    facts: PathOrName = ""
    """A fact set to build on (facts step directory or data file); empty: the synthetic world of the seed."""
    seed: int = 0
    """Another seed makes another world, another corpus and other starting weights."""
    mentions: Annotated[float, Field(gt=0)] = 12.0
    """With facts: mean number of mentions of a fact in the corpus; their distribution is log-normal (heavy-tailed)."""
    teacher_share: Annotated[float, Field(gt=0, lt=1)] = 1 / 3
    """With facts: share that the corpus speaks of often and also asks about; kept out of train and test."""
    shared_templates: Annotated[int, Field(ge=1, le=21)] = SHARED_TEMPLATES
    """How many of the 21 mapping templates the corpus speaks in; the others are new to the model in the probe."""
    vocabulary: Annotated[int, Field(ge=300)] = 2048
    """Tokens in the tokenizer."""
    width: Annotated[int, Field(ge=16)] = 128
    """Hidden size; there is an attention head for every 32."""
    layers: Annotated[int, Field(ge=1)] = 4
    """Decoder layers."""
    sequence: Annotated[int, Field(ge=16)] = 128
    """Tokens in a training sequence."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Sequences in a training step."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    """Peak of the cosine schedule."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """AdamW weight decay."""

    @field_validator("width")
    @classmethod
    def _fits_its_heads(cls, value: int) -> int:
        if value % (2 * _heads(value)):
            raise ValueError(
                f"must divide into {_heads(value)} attention head(s) of an even size; a multiple of 32 does"
            )
        return value


def _heads(width: int) -> int:
    """Attention heads, of about 32 dimensions each; rotary positions need an even number of them."""
    return max(1, width // 32)


class PocketFound(BaseFound):
    """What building a pocket base measured."""

    teachers: int
    """Facts that the corpus asks about itself; they are in no part."""


@dataclass(frozen=True)
class PocketResult(BaseResult):
    """A pocket base; its facts are those that can be asked for: all but the teachers."""

    found: PocketFound


def run_pocket(
    settings: PocketSettings,
    facts: FactSet | None = None,
    out: Path | None = None,
    root: Path = DEFAULT_ROOT,
    progress: Progress | None = None,
) -> PocketResult:
    """Build a pocket base on `facts`, else on those that the settings name, else on the synthetic world of the seed.

    Resumes where a killed build was left. Writes model/, facts.parquet (without the teachers) and mentions.parquet
    (fact_id, mentions, teacher). Raises InputError when there are too few facts.

    Examples:
        >>> from recollect import PocketSettings, run_pocket
        >>> result = run_pocket(PocketSettings.make(seed=1))  # doctest: +SKIP
        >>> result.facts().counts()  # doctest: +SKIP
        {'train': 1540, 'test': 660, 'ood': 924}
    """
    if facts is None and settings.facts:
        facts = load_facts(settings.facts)
    if facts is None:
        world = make_world(settings.seed)
    else:
        world = world_of(facts, settings.seed, settings.mentions, settings.teacher_share)
    inputs = {"facts": None if facts is None else facts.fingerprint()}
    with open_step("pocket", settings.model_dump(mode="json", exclude={"facts"}), inputs, out, root) as step:
        if not step.done:
            found = build_base(step, lambda: _recipe(settings, world), world.facts(), progress)
            step.write_table("mentions.parquet", world.table())
            teachers = sum(entry.teacher for entry in world.mentioned)
            step.finish(PocketFound(**found.model_dump(), teachers=teachers))
        return PocketResult(step.path, PocketFound.read(step.path))


def _recipe(settings: PocketSettings, world: World) -> Recipe:
    import torch
    from tokenizers import pre_tokenizers

    documents = render(world, settings.seed, shared_templates=settings.shared_templates)
    units = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = train_bpe(documents, settings.vocabulary, units, longest=512)
    blocks = torch.from_numpy(pack(tokenizer, documents, settings.sequence))
    steps = -(-len(blocks) // settings.batch_size)
    return Recipe(
        settings=settings,
        model=small_llama(settings, tokenizer, _heads(settings.width), tie_word_embeddings=False),
        tokenizer=tokenizer,
        rows=[{"input_ids": block, "labels": block} for block in blocks],
        documents=len(documents),
        tokens=int(blocks.numel()),
        steps=steps,
        warmup_steps=max(1, steps // 20),
        save_steps=max(50, steps // 10),
    )


def pack(
    tokenizer: PreTrainedTokenizerFast, documents: list[str], sequence: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Token blocks, shape [blocks, sequence]: documents as <s> text </s>, one after the other, the rest dropped."""
    ends = tokenizer.eos_token_id
    flat: list[int] = []
    for ids in tokenizer(documents, return_attention_mask=False)["input_ids"]:
        flat.extend(ids)
        flat.append(ends)
    count = len(flat) // sequence
    if count == 0:
        raise InputError(
            f"the corpus has {len(flat)} tokens, fewer than one sequence of {sequence}. Use more facts or mentions."
        )
    return np.asarray(flat[: count * sequence], dtype=np.int64).reshape(count, sequence)
