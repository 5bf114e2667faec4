"""One side of a pair, loaded and asked the way the settings say."""

from __future__ import annotations

from recollect.drift._settings import AskSettings
from recollect.evaluate import EvaluateSettings
from recollect.models import LoadedModel, ModelSettings, load


def load_model(settings: AskSettings, name: str) -> LoadedModel:
    """Load one side of a pair by name, folder or step directory."""
    return load(ModelSettings.make(model=name, device=settings.device, dtype=settings.dtype))


def evaluate_settings(settings: AskSettings) -> EvaluateSettings:
    """The evaluation that both sides and every rung get."""
    names = ("limit", "seed", "max_new_tokens", "batch_size", "prompt_template", "device", "dtype")
    return EvaluateSettings.make(**{name: getattr(settings, name) for name in names})
