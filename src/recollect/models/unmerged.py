"""A LoRA adapter beside a quantised base: PEFT's layers run in the base's own modules, and nothing is merged.

Merged, the change would be rounded to the few levels of the base, and mostly lost. PiSSA and OLoRA took their first
factors out of the base's weights, which quantised ones cannot give; such an adapter needs the base in plain numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recollect.errors import ModelError
from recollect.models.adapter import put_on
from recollect.models.adapter_config import read_adapter_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CHANGED_BASE = ("pissa", "olora")


def put_beside(base: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """A loaded base in whose modules the adapter of a folder runs along. Raises ModelError, as `put_on` does."""
    start = read_adapter_config(folder).get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGED_BASE):
        raise ModelError(
            f"{folder} was started by {start!r}, which takes its first factors out of the base's weights; its base is "
            "quantised here. Load it on the base in plain numbers, or save it with peft's "
            "path_initial_model_for_weight_conversion, which makes it a plain adapter."
        )
    found: PreTrainedModel = put_on(base, folder).peft.get_base_model()
    return found.requires_grad_(False)
