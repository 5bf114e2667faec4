"""Parts of a model that a training leaves as the base has them.

Notable choices
- A name is that of a module or of what holds it, never an expression. Four groups have names of their own, since models
  call their parts differently: `embeddings`, `attention` and `mlp` (of all layers, without norms), and `lower`, the
  embeddings and the lower half of the layers.
- An output head that is one matrix with the embeddings stays with them; one of its own is trained.
- Of adapters it is the same: what is frozen gets none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from recollect.errors import InputError
from recollect.models.parts import other_parts
from recollect.weights.pair import layer_of, module_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EMBEDDINGS, LOWER = "embeddings", "lower"
_KINDS = {"attention": "attn.", "mlp": "mlp."}
"""Groups by how their kinds begin."""


def listed(text: str) -> list[str]:
    """The names of a setting that takes several, separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def still(model: PreTrainedModel, freeze: str, names: Iterable[str]) -> set[str]:
    """Of the parameters or modules of these names, those that stay as they are. Raises InputError for a name that the
    model does not have.

    Examples:
        >>> listed("lower, mlp")
        ['lower', 'mlp']
    """
    wanted, there = listed(freeze), list(names)
    if not wanted:
        return set()
    whole = [name for name, _ in model.named_parameters()]
    return {name for part in wanted for name in _part(model, part, whole, there)}


def _part(model: PreTrainedModel, part: str, whole: list[str], names: list[str]) -> list[str]:
    """Of the names those that one word of the setting stands for; whole: of all parameters."""
    if part in (EMBEDDINGS, LOWER):
        ends = _embeddings(model)
        half = _layers(model, whole) // 2 if part == LOWER else 0
        below = [name for name in names if (at := layer_of(f"{name}.")) is not None and at < half]
        return [*below, *(name for name in names if f"{name}.".startswith(ends))]

    def inside(name: str) -> bool:
        return f".{part}." in f".{name}." or (part in _KINDS and module_of(name).startswith(_KINDS[part]))

    if not any(map(inside, whole)):
        raise InputError(
            f"freeze names {part!r}, but nothing of this model that holds weights is called so. Take embeddings, "
            f"lower, attention, mlp, or a name such as {', '.join(_called(whole)[:8])}."
        )
    return [name for name in names if inside(name)]


def hold_still(model: PreTrainedModel, freeze: str) -> None:
    """Take the gradients from what is frozen. Raises InputError where nothing is left to train."""
    quiet = still(model, freeze, [name for name, _ in model.named_parameters()])
    for name, parameter in model.named_parameters():
        if name in quiet:
            parameter.requires_grad_(False)
    if quiet and not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"freeze {freeze} leaves nothing of this model to train. Name fewer parts.")


def _embeddings(model: PreTrainedModel) -> tuple[str, ...]:
    """Under which names the input embeddings stand, and, where it is the same matrix, the output head."""
    matrix: Any = model.get_input_embeddings()
    if matrix is None:
        return ()
    own = {id(parameter) for parameter in matrix.parameters()}
    parameters = model.named_parameters(remove_duplicate=False)
    held = {name.rpartition(".")[0] for name, parameter in parameters if id(parameter) in own}
    return tuple(f"{name}." for name in sorted(held))


def _layers(model: PreTrainedModel, names: list[str]) -> int:
    """How many layers the language model has."""
    others = other_parts(model)
    return 1 + max((at for name in names if name not in others and (at := layer_of(name)) is not None), default=-1)


def _called(names: list[str]) -> list[str]:
    """What its parts are called, each once."""
    parts = (part for name in names for part in name.split(".")[:-1])
    return list(dict.fromkeys(part for part in parts if not part.isdigit() and part not in ("model", "transformer")))
