"""Settings of one training run, and the papers' presets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from recollect.chat.asking import Prompt, asked_for
from recollect.chat.render import TrainOn
from recollect.core.settings import PathOrName
from recollect.core.tables import BadRowsMode
from recollect.models import ModelSettings
from recollect.prompt import DEFAULT_TEMPLATE, PromptTemplate
from recollect.train.lora_fields import CHANGES_BASE, Alphas, LayerNumbers, Ranks, Start
from recollect.train.trackers import ReportTo

Preset = Literal[
    "60-data-points", "60-data-points-llama-2", "attribute-extraction-lora", "token-and-parameter-levels", "pocket",
    "pocket-shop", "A", "A-LLaMA-2", "B-LoRA", "C",
]  # fmt: skip
_LETTERS = {
    "A": "60-data-points",
    "A-LLaMA-2": "60-data-points-llama-2",
    "B-LoRA": "attribute-extraction-lora",
    "C": "token-and-parameter-levels",
}
"""The first names of the papers' presets. Fingerprints of studies, curves and searches were made with them."""

_Values = dict[str, str | int | float]
_FULL: _Values = {"method": "full", "learning_rate": 1e-5, "batch_size": 16, "epochs": 1.0, "schedule": "cosine"}
# What the papers state (docs/studies.md §3 and §6); everything they leave open keeps the field's default.
PRESETS: dict[str, _Values] = {
    "60-data-points": _FULL,
    "60-data-points-llama-2": {**_FULL, "learning_rate": 2e-5},
    "attribute-extraction-lora": {
        "method": "lora",
        "learning_rate": 1e-4,
        "batch_size": 16,
        "epochs": 12.0,
        "schedule": "cosine",
        "warmup_ratio": 0.1,
        "lora_r": 16,
        "lora_alpha": 32.0,
        "lora_dropout": 0.1,
        "lora_targets": "q_proj,v_proj",
    },
    "token-and-parameter-levels": {**_FULL, "batch_size": 8},
    # ours, for the small base models that come with Recollect
    "pocket": {**_FULL, "learning_rate": 5e-4, "batch_size": 8},
    "pocket-shop": {**_FULL, "learning_rate": 1e-3, "batch_size": 8, "epochs": 6.0},
}
PRESETS |= {letter: PRESETS[name] for letter, name in _LETTERS.items()}


class TrainSettings(ModelSettings):
    """How to fine-tune a base model on a selection. A preset fills in what is not given.

    Examples:
        >>> from recollect import TrainSettings
        >>> TrainSettings.make(preset="B-LoRA", epochs=2).method
        'lora'
    """

    runtime_only: ClassVar[set[str]] = {
        "model",
        "preset",
        "save_every",
        "report_to",
        "processes",
        "sharding",
        "anchor_text",
    }
    later_fields: ClassVar[set[str]] = {
        *ModelSettings.later_fields,
        "lora_rslora", "lora_dora", "lora_init", "lora_rank_pattern", "lora_alpha_pattern", "lora_layers", "lora_bias",
        "lora_modules_to_save", "prompt", "train_on",
        "bad_rows", "anchor", "anchor_on", "freeze",
    }  # fmt: skip

    preset: Preset | None = None
    """A paper's settings: 60-data-points (60-data-points-llama-2: its rate for LLaMA-2), attribute-extraction-lora,
    token-and-parameter-levels, also called A, A-LLaMA-2, B-LoRA and C; or ours: pocket, pocket-shop. Flags beat it."""
    method: Literal["full", "lora"] = "full"
    """Train all parameters, or low-rank adapters on a frozen base."""
    learning_rate: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """Highest learning rate of AdamW. auto: by the model's width and the number of updates, printed with the reason;
    the presets have their own."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Examples per update, over all devices and accumulated pieces together."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Pieces in which each update's batch is computed; more pieces need less memory and give the same
    update."""
    epochs: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """Passes over the selection. auto: as many as give 8 updates, at most 3; with a learning rate of your own, one."""
    max_steps: Annotated[int, Field(ge=0)] | None = None
    """Updates to make instead of counting epochs; 0 stores the base as it is."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up; cosine and linear end at zero."""
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the updates over which the learning rate rises from zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of AdamW. No paper states it; zero is our choice."""
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients longer than this are clipped to it; 0 is off. No paper states it; 1 is the libraries' custom."""
    lora_r: Annotated[int, Field(ge=1)] = 16
    """Rank of the adapters. 16 for every size of model: their room grows with the model's width by itself."""
    lora_alpha: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """Scale of the adapters: their product is multiplied by alpha / r, or with --lora-rslora by alpha / sqrt(r). auto:
    8 sqrt(r), with --lora-rslora 8, so that the scale is 2 at rank 16 and falls as 1 / sqrt(r)."""
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] | Literal["auto"] = "auto"
    """Dropout in front of the adapters. auto: 0.1, and 0 for those that start with parts of the base."""
    lora_targets: str = "all-linear"
    """Names of the modules that get adapters, separated by commas; "all-linear" for every linear one but the output
    head; embed_tokens and lm_head by name."""
    lora_rslora: bool = False
    """Scale by alpha / sqrt(r) (rank-stabilised, arXiv 2312.03732)."""
    lora_dora: bool = False
    """Train the length of each weight row beside its direction (DoRA, arXiv 2402.09353); about twice the time."""
    lora_init: Start = "default"
    """How adapters start. default and gaussian: as no change. pissa (or its fast form pissa_niter_4, pissa_niter_16)
    and olora: with the base's largest parts, in whose place they learn; stored as plain LoRA of twice the rank. eva: by
    the directions of the examples, which also deal out the ranks. loftq is not offered: its adapter fits only the base
    that it quantises itself."""
    lora_rank_pattern: Ranks = {}
    """Other ranks by module, or by what holds it: {layers.0: 4, down_proj: 32}. Of several names the first counts."""
    lora_alpha_pattern: Alphas = {}
    """Other alphas likewise. Where lora_alpha is auto, each rank has its own."""
    lora_layers: LayerNumbers = ()
    """Only these layers get adapters, counted from 0: 0-3,7. Empty: all."""
    lora_bias: Literal["none", "all", "lora_only"] = "none"
    """Biases to train as well: none, all there are, or those of the modules with adapters."""
    lora_modules_to_save: str = ""
    """Names of modules to train whole and to store with the adapter, separated by commas: norm, lm_head, embed_tokens.
    Embeddings tied to the output head stay tied to it."""
    anchor: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Hold the model to its base: so many times KL(base || model), in nats per token, is added to the loss. 0: not.
    Less is forgotten and less is learned; an update takes about half as long again, and a full training keeps a second
    copy of the base in memory."""
    anchor_on: Literal["inputs", "text"] = "inputs"
    """Where it is held: on all tokens of the examples (inputs), or on general text, batch_size documents an update."""
    anchor_text: PathOrName = ""
    """The general text for anchor_on text: a .txt (a document a line), a .jsonl (key text), or "pocket". Empty: the
    pocket's own for the pocket."""
    freeze: str = ""
    """What stays as the base has it, separated by commas: embeddings (with an output head that is the same matrix),
    attention, mlp, lower (the embeddings and the lower half of the layers), or names of modules and of what holds them:
    layers.0. Of LoRA, what is frozen gets no adapters."""
    precision: Literal["auto", "mixed", "pure"] = "auto"
    """mixed: float32 weights, computing in bfloat16. pure: everything in --dtype; in bfloat16, updates at rates like
    1e-5 mostly round away. auto: mixed on a GPU with bfloat16 (unless --dtype is given), else pure, and refused where
    most weights cannot move."""
    save_dtype: Literal["base", "float32", "bfloat16", "float16"] = "base"
    """Number format of the stored weights. base: each weight in the format the base stores it in, which may round small
    changes away (the run says which share). An adapter is stored as trained, in float32, unless a format is named."""
    gradient_checkpointing: bool = False
    """Compute activations again instead of keeping them: less memory, about a fifth slower."""
    prompt: Prompt = "auto"
    """What a question is asked in. chat: the model's own chat template, the question as the user's turn, the answer as
    the assistant's. plain: prompt_template. auto: chat where the model has a template; plain with a paper's preset, or
    where a prompt_template is given."""
    prompt_template: PromptTemplate = DEFAULT_TEMPLATE
    """The plain fine-tuning prompt, with {question} in it; a blank and the answer follow."""
    train_on: TrainOn = "all"
    """With --data: learn all turns of the assistant, or the last one of each conversation. A row that names its turns
    itself (weight, train_on) goes before."""
    bad_rows: BadRowsMode = "error"
    """With --data: what becomes of a row that cannot be used: skip (left out and counted) or error (the first one ends
    the step)."""
    max_length: Annotated[int, Field(ge=8)] = 1024
    """Longest example in tokens; a longer one is an error, never cut."""
    save_every: Annotated[int, Field(ge=1)] | None = None
    """Updates between checkpoints, from which a killed run resumes; without it, it starts again."""
    report_to: ReportTo = "none"
    """Trackers to show the training in as well, separated by commas: tensorboard, wandb, mlflow, trackio. Each needs
    its own package, and sends what it sends; none of them unless it is named here."""
    processes: Annotated[int, Field(ge=1)] = 1
    """Processes of this machine that share each update's batch, one for each GPU. The result is the same up to rounding
    (with dropout, other draws of it), so this is no part of a step's fingerprint."""
    sharding: Literal["auto", "none", "fsdp"] = "auto"
    """fsdp: the processes share out weights, gradients and the optimizer's state too, for a base that one GPU cannot
    hold. none: each holds all of them. auto: fsdp where they would take over 70 % of a GPU's memory."""
    seed: int = 0
    """Decides the order of the examples, the adapters' first weights and the dropout."""

    @model_validator(mode="wrap")
    @classmethod
    def _fill_in_preset(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(values, Mapping):
            return handler(values)
        if values.get("preset") not in PRESETS:
            if values.get("learning_rate", "auto") == "auto" or "epochs" in values:
                return handler(values)
            made = handler({"epochs": 1.0, **values})
        else:
            name = values["preset"]
            made = handler({**PRESETS[name], **values, "preset": _LETTERS.get(name, name)})
        made.__pydantic_fields_set__.intersection_update(values)  # what the preset filled in was not given
        return made

    @property
    def alpha(self) -> float:
        """The adapters' alpha as a number."""
        return self.alpha_of(self.lora_r)

    def alpha_of(self, rank: int) -> float:
        """The alpha of adapters of a rank, where no pattern names another."""
        if self.lora_alpha != "auto":
            return self.lora_alpha
        return 8.0 if self.lora_rslora else 8.0 * math.sqrt(rank)

    @property
    def dropout(self) -> float:
        """The adapters' dropout as a number."""
        if self.lora_dropout != "auto":
            return self.lora_dropout
        return 0.0 if self.lora_init in CHANGES_BASE else 0.1

    def fingerprint_values(self) -> dict[str, Any]:
        """As in `Settings`; what is left to other settings of LoRA counts as the number it is. A training of all
        parameters has the values that these settings had when there was no more of them."""
        decided: dict[str, str | float] = {"lora_alpha": self.alpha, "lora_dropout": self.dropout}
        if self.method == "full" and self.at_default("lora_targets"):
            decided["lora_targets"] = "q_proj,v_proj"
        return super().fingerprint_values() | decided

    def asked_in(self) -> Prompt:
        """The setting `prompt`: a paper's preset asks plainly, as the paper did, unless something else is given."""
        papers = {*_LETTERS, *_LETTERS.values()}
        return "plain" if self.prompt == "auto" and self.preset in papers else asked_for(self)

    def fingerprint_section(self) -> dict[str, Any]:
        """As in `Settings`, a paper's preset by its letter: both its names are one setting with one fingerprint."""
        letters = {name: letter for letter, name in _LETTERS.items()}
        values = super().fingerprint_section()
        return values | ({"preset": letters.get(self.preset or "", self.preset)} if "preset" in values else {})

    @classmethod
    def resolve(
        cls, *, file: Mapping[str, Any] | None = None, flags: Mapping[str, Any] | None = None
    ) -> tuple[Self, dict[str, str]]:
        """As `Settings.resolve`; values that a preset filled in have the origin "preset NAME"."""
        settings, origin = super().resolve(file=file, flags=flags)
        for name in PRESETS.get(settings.preset or "", {}):
            if origin[name] == "default":
                origin[name] = f"preset {settings.preset}"
        return settings, origin
