"""The adapters that a training begins with: on which modules, of which rank, and how they start.

Notable choices
- Names are those of modules, never expressions. Where PEFT would read a name otherwise (a part of a name, all layers, a
  pattern), the modules' full names are written instead, so that every reader of the adapter finds the same ones.
- Embeddings and an output head that are one matrix can be trained whole, and stay one (PEFT's ensure_weight_tying).
  Factors beside them are refused: PEFT would give the one matrix two sets in the same memory, which an optimizer
  updates twice, and on a GPU both at once.
- EVA reads the answers of the training's own examples, over and over until its directions are settled: all at once as
  far as they go, since between batches of few tokens they never are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from recollect.errors import InputError
from recollect.generate.random import library_seed
from recollect.models.adapter import tied_modules
from recollect.models.parts import other_parts, uncalled_modules
from recollect.train.frozen import listed, still
from recollect.train.lora_fields import CHANGES_BASE
from recollect.train.settings import TrainSettings
from recollect.weights.pair import layer_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from recollect.train.trainer import Example

Number = TypeVar("Number", int, float)

Factors = dict[str, "torch.Tensor"]
"""The factors of adapters, by the names of the model's parameters."""
FACTORS = ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B")
_KNOWN_AS_TIED = ("embed_tokens", "lm_head")  # PEFT's EMBEDDING_LAYER_NAMES
NEVER_CALLED = (
    "lora_targets must name modules that the model calls, but it reads the weight of {} by itself: an adapter beside "
    "it would never learn. Name other modules, or take all-linear."
)
_MOST_PASSES = 60  # of EVA: it is settled after a few, or never
_MOST_TOKENS = 1 << 13  # of one of EVA's batches, padding included


@dataclass(frozen=True)
class Adapted:
    """A base with fresh adapters."""

    model: Any
    start: Factors = field(default_factory=dict)
    """The first factors, by the names of the model's parameters, where they were taken out of the base; else empty."""
    weights: Factors | None = None
    """What is to be stored, by the same names, where the adapters are not on the model any more."""


def with_adapters(model: PreTrainedModel, settings: TrainSettings, examples: Sequence[Example]) -> Adapted:
    """The model with fresh adapters, which change nothing yet. Raises InputError for settings that it cannot have."""
    from peft import get_peft_model
    from transformers import set_seed

    changed = _modules(model, settings)
    _check_start(model, settings, changed)
    config = _config(model, settings, changed)
    set_seed(library_seed(settings.seed))
    try:
        adapted = get_peft_model(model, config)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        if settings.lora_init != "default" or settings.lora_dora:
            raise InputError(f"such adapters cannot be put on this model: {reason}") from None
        raise InputError(
            f"lora_targets must name linear modules of the model, but got {settings.lora_targets!r}: {reason}"
        ) from None
    if settings.lora_init == "eva":
        _start_by_examples(adapted, settings, examples)
    if settings.lora_init not in CHANGES_BASE:
        return Adapted(adapted)
    return Adapted(adapted, {name: value.detach().clone() for name, value in factors(adapted).items()})


def ranks_of(model: PreTrainedModel, settings: TrainSettings) -> dict[str, int]:
    """The rank of each module that would get an adapter. Raises InputError for settings that the model cannot have."""
    changed = _modules(model, settings)
    return dict.fromkeys(changed, settings.lora_r) | _by_module(
        "lora_rank_pattern", settings.lora_rank_pattern, changed
    )


def factors(model: Any) -> Factors:
    """The two factors of every adapter, by the names of the model's parameters."""
    return {name: value for name, value in model.named_parameters() if any(f".{part}." in name for part in FACTORS)}


@contextmanager
def refusing_uncalled(model: Any) -> Iterator[None]:
    """Raise InputError where the loss depends on no adapter at all, in place of torch's error."""
    try:
        yield
    except RuntimeError as error:
        names = factors(model)
        if not names or "does not require grad" not in str(error):
            raise
        name = next(iter(names)).partition(".lora_")[0].removeprefix("base_model.model.")
        raise InputError(NEVER_CALLED.format(name)) from None


def _check_start(model: PreTrainedModel, settings: TrainSettings, changed: Iterable[str]) -> None:
    import torch
    from transformers.pytorch_utils import Conv1D

    transposed = [name for name in changed if isinstance(model.get_submodule(name), Conv1D)]
    if settings.lora_init == "olora" and transposed:
        raise InputError(
            f"lora_init olora does not know transposed layers such as {transposed[0]} of this model. Take --lora-init "
            "pissa."
        )
    if settings.lora_init not in CHANGES_BASE:
        return
    if settings.dropout:
        raise InputError(
            f"lora_init {settings.lora_init} puts parts of the base into the adapters, and lora_dropout "
            f"{settings.dropout:g} would drop them. Take --lora-dropout 0."
        )
    if getattr(model, "is_quantized", False) or model.dtype != torch.float32:
        held = "quantised" if getattr(model, "is_quantized", False) else str(model.dtype).removeprefix("torch.")
        raise InputError(
            f"lora_init {settings.lora_init} takes parts out of the base, which needs float32 weights, but they are "
            f"{held} here: rounding would change the base itself. Leave --dtype at auto, or take --lora-init default."
        )


def _config(model: PreTrainedModel, settings: TrainSettings, changed: list[str]) -> Any:
    from peft import LoraConfig

    ranks = _by_module("lora_rank_pattern", settings.lora_rank_pattern, changed)
    alphas = _by_module("lora_alpha_pattern", settings.lora_alpha_pattern, changed)
    if settings.lora_alpha == "auto":
        alphas = {name: settings.alpha_of(rank) for name, rank in ranks.items()} | alphas
    ends: tuple[str, ...] = tied_modules(model) or ()
    whole = _tied_by_peft(_whole(model, settings), ends)
    if both := [name for name in changed if name in ends]:
        raise InputError(
            f"lora_targets names {both[0]}, but embeddings and output head are one matrix in this model, and factors "
            f"beside either would part them. Take --lora-modules-to-save {ends[0].rpartition('.')[2]}, which trains "
            "the matrix whole."
        )
    given: dict[str, object] = {
        "r": settings.lora_r,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "target_modules": _targets(model, settings, changed),
        "bias": settings.lora_bias,
        "task_type": "CAUSAL_LM",
        "use_rslora": settings.lora_rslora,
        "use_dora": settings.lora_dora,
        "init_lora_weights": True if settings.lora_init == "default" else settings.lora_init,
        "rank_pattern": {name: rank for name, rank in ranks.items() if rank != settings.lora_r},
        "alpha_pattern": {name: alpha for name, alpha in alphas.items() if alpha != settings.alpha},
        "modules_to_save": whole or None,
        "ensure_weight_tying": bool({*ends} & {*whole}),
    }
    return LoraConfig(**given)


def _modules(model: PreTrainedModel, settings: TrainSettings) -> list[str]:
    """The full names of the modules that get adapters; of the language model alone, where it is not all there is.

    For all-linear without experts (3-D tensors, which take no dropout), which PEFT would reach for as well; never one
    that the model does not call.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    wanted = listed(settings.lora_targets)
    every, others, head = "all-linear" in wanted, other_parts(model), model.get_output_embeddings()
    linear = (torch.nn.Linear, Conv1D)
    experts, uncalled = _experts(model), uncalled_modules(model)
    found: list[str] = []
    left_out: list[str] = []
    for name, module in model.named_modules():
        if not isinstance(module, (*linear, torch.nn.Embedding)) or f"{name}.weight" in others:
            continue
        expert = experts and every and name.endswith((".gate_proj", ".up_proj", ".down_proj"))  # PEFT's own reading
        swept = every and isinstance(module, linear) and module is not head
        named = any(f".{name}".endswith(f".{target}") for target in wanted)
        if (swept or named) and not expert:
            (left_out if name in uncalled else found).append(name)
    _refuse_uncalled(wanted, left_out, found)
    if settings.lora_layers:
        found = _in_layers(found, settings.lora_layers)
    if settings.freeze and found:
        found = _not_frozen(model, settings, found)
    if not found:
        some = sorted({name.rpartition(".")[2] for name, one in model.named_modules() if isinstance(one, linear)})
        raise InputError(
            f"lora_targets must name linear modules of the model, but got {settings.lora_targets!r}. It has "
            f"{', '.join(some[:12])}."
        )
    return found


def _in_layers(names: list[str], layers: tuple[int, ...]) -> list[str]:
    """The modules in these layers, and those in none (embeddings, the output head)."""
    there = {layer_of(f"{name}.") for name in names} - {None}
    if absent := sorted(set(layers) - there):
        raise InputError(f"lora_layers must be layers of the model with such modules, but there is no {absent[0]}.")
    return [name for name in names if layer_of(f"{name}.") in {None, *layers}]


def _not_frozen(model: PreTrainedModel, settings: TrainSettings, names: list[str]) -> list[str]:
    """The modules that are not frozen."""
    if settings.lora_bias == "all":
        raise InputError(
            "lora_bias all trains every bias, and freeze some of them not. Leave out the one or the other."
        )
    if both := sorted(still(model, settings.freeze, _whole(model, settings))):
        raise InputError(
            f"lora_modules_to_save trains {both[0]}, which freeze {settings.freeze} keeps. Name one of them."
        )
    frozen = still(model, settings.freeze, names)
    if left := [name for name in names if name not in frozen]:
        return left
    raise InputError(f"freeze {settings.freeze} leaves no module for adapters. Name fewer parts, or more lora_targets.")


def _experts(model: PreTrainedModel) -> bool:
    return any(weight.dim() == 3 and "experts" in name for name, weight in model.named_parameters())


def _refuse_uncalled(wanted: list[str], uncalled: list[str], found: list[str]) -> None:
    """Raise InputError where all that a target names is left out since the model does not call it."""
    for target in wanted:
        named, others = ([one for one in some if f".{one}".endswith(f".{target}")] for some in (uncalled, found))
        if named and not others:
            raise InputError(NEVER_CALLED.format(named[0]))


def _targets(model: PreTrainedModel, settings: TrainSettings, changed: list[str]) -> str | list[str]:
    """The targets as PEFT takes them: as given where it reads them so, else whole names."""
    wanted = listed(settings.lora_targets)
    every = "all-linear" in wanted
    odd = other_parts(model) or uncalled_modules(model) or (every and (_experts(model) or len(wanted) > 1))
    if odd or settings.lora_layers or settings.freeze:
        return changed
    return "all-linear" if every else wanted


def _by_module(setting: str, pattern: Mapping[str, Number], modules: list[str]) -> dict[str, Number]:
    """The number of each module that a pattern names, itself or by what holds it."""
    found: dict[str, Number] = {}
    for part, value in pattern.items():
        inside = [name for name in modules if f".{part}." in f".{name}."]
        if not inside:
            raise InputError(
                f"{setting} names {part!r}, but no module with an adapter is called so or lies in it. There are "
                f"{', '.join(modules[:3])}{', …' if len(modules) > 3 else ''}."
            )
        for name in inside:
            found.setdefault(name, value)
    return found


def _whole(model: PreTrainedModel, settings: TrainSettings) -> list[str]:
    """The full names of the modules that are trained whole."""
    wanted, others = listed(settings.lora_modules_to_save), other_parts(model)
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    found: list[str] = []
    for target in wanted:
        inside = [name for name in names if f".{name}".endswith(f".{target}")]
        held = [name for name in inside if any(True for _ in model.get_submodule(name).parameters())]
        held = [name for name in held if not any(other.startswith(f"{name}.") for other in others)]
        if not held:
            raise InputError(
                f"lora_modules_to_save must name modules of the model that hold weights, but got {target!r}. Such are "
                f"{', '.join(sorted({name.rpartition('.')[2] for name in names if not name[-1].isdigit()})[:12])}."
            )
        found += [name for name in held if name not in found]
    return found


def _tied_by_peft(whole: list[str], ends: tuple[str, ...]) -> list[str]:
    """Modules to train whole, of tied embeddings the one by whose name PEFT knows that they are tied."""
    if not {*ends} & {*whole}:
        return whole
    known = [name for name in ends if name.rpartition(".")[2] in _KNOWN_AS_TIED]
    if not known:
        raise InputError(
            f"lora_modules_to_save names {ends[0]}, but embeddings and output head are one matrix in this model, which "
            "PEFT does not know of it: they would part. Take --method full."
        )
    return [known[-1], *(name for name in whole if name not in ends)]


def _start_by_examples(model: Any, settings: TrainSettings, examples: Sequence[Example]) -> None:
    """EVA: the first factor of each adapter is where the examples' answers vary most. Raises InputError."""
    from peft import initialize_lora_eva_weights

    config = model.peft_config["default"]
    needed = math.ceil(max([settings.lora_r, *config.rank_pattern.values()]) * config.eva_config.rho)
    batches = list(_batches(examples, needed))
    if not batches:
        raise InputError(
            f"lora_init eva needs {needed} tokens of answers for rank {settings.lora_r}, but the selection has "
            f"{_answer_tokens(examples)}. Take more examples, a lower --lora-r, or --lora-init default."
        )
    base = model.get_base_model()
    whole = not hasattr(base, base.base_model_prefix) or _has_adapter(base.get_output_embeddings())

    def forward(_: Any, inputs: dict[str, torch.Tensor]) -> None:
        seen = {name: value for name, value in inputs.items() if name != "labels"}
        (base if whole else getattr(base, base.base_model_prefix))(**seen, use_cache=False)  # without logits

    initialize_lora_eva_weights(
        model, _Repeated(batches), forward_fn=forward, gather_distributed_inputs=False, show_progress_bar=False
    )
    config.target_modules = sorted(config.target_modules)  # so that equal trainings write equal bytes


def _has_adapter(module: Any) -> bool:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return isinstance(module, BaseTunerLayer)


def _batches(examples: Sequence[Example], needed: int) -> Iterator[dict[str, torch.Tensor]]:
    """All examples in as few batches as fit; each has `needed` tokens of answers. None where there are fewer."""
    groups: list[list[Example]] = [[]]
    for example in examples:
        longest = max(len(ids) for ids, _ in [*groups[-1], example])
        full = longest * (len(groups[-1]) + 1) > _MOST_TOKENS
        if full and _answer_tokens(groups[-1]) >= needed:
            groups.append([])
        groups[-1].append(example)
    if len(groups) > 1 and _answer_tokens(groups[-1]) < needed:
        groups[-2] += groups.pop()
    if _answer_tokens(groups[-1]) >= needed:
        yield from map(_padded, groups)


def _answer_tokens(examples: Sequence[Example]) -> int:
    return sum(sum(mask) for _, mask in examples)


def _padded(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    import torch

    longest = max(len(ids) for ids, _ in examples)
    rows = [
        (
            [*ids, *[0] * (longest - len(ids))],
            [*[1] * len(ids), *[0] * (longest - len(ids))],
            [*(i if m else -100 for i, m in zip(ids, mask, strict=True)), *[-100] * (longest - len(ids))],
        )
        for ids, mask in examples
    ]
    return {
        name: torch.tensor([row[part] for row in rows])
        for part, name in enumerate(("input_ids", "attention_mask", "labels"))
    }


@dataclass(frozen=True)
class _Repeated:
    """Batches, over and over; an end where EVA has not settled by then."""

    batches: list[dict[str, torch.Tensor]]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for _ in range(_MOST_PASSES):
            yield from map(dict, self.batches)
        raise InputError(
            f"lora_init eva did not settle within {_MOST_PASSES} passes over the examples. Take more examples, or "
            "--lora-init default."
        )
