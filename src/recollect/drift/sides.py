"""The two sides, base and tuned: their weights opened, and each loaded and asked the way the settings say."""

from __future__ import annotations

from recollect.core.machine import prepare
from recollect.drift.settings import SOURCES, AskSettings
from recollect.evaluate import EvaluateSettings
from recollect.models import LoadedModel, ModelSettings, check_whole, load
from recollect.weights.pair import CheckpointPair, open_pair


def open_both(settings: AskSettings, base: str, tuned: str, *, asked: bool = True) -> CheckpointPair:
    """Open the weights of both sides; raises what `open_pair` raises.

    asked: the models are loaded later on, so what loading them would refuse is refused now, before hours of measuring.
    """
    pair = open_pair(
        base,
        tuned,
        revision=settings.revision,
        tuned_revision=settings.tuned_revision,
        trust_remote_code=settings.trust_remote_code,
    )
    try:
        for side in (pair.base, pair.tuned) if asked else ():
            check_whole(side)
    except BaseException:
        pair.close()
        raise
    return pair


def load_base(settings: AskSettings, name: str) -> LoadedModel:
    """Load the base by name, folder or step directory."""
    return load(base_settings(settings, name))


def load_tuned(settings: AskSettings, name: str) -> LoadedModel:
    """Load the tuned model by name, folder or step directory."""
    return load(tuned_settings(settings, name))


def base_settings(settings: AskSettings, name: str) -> ModelSettings:
    """Which model the base is, and how it is held."""
    return _held(settings, name, settings.revision)


def tuned_settings(settings: AskSettings, name: str) -> ModelSettings:
    """Which model the tuned one is, and how it is held."""
    return _held(settings, name, settings.tuned_revision)


def _held(settings: AskSettings, name: str, revision: str | None) -> ModelSettings:
    trusted = settings.trust_remote_code
    # small differences are what is measured here: on a CPU auto stays float32, whatever the model is stored in
    dtype = prepare(settings.device, settings.dtype).dtype
    values = {"revision": revision, "trust_remote_code": trusted, "device": settings.device, "dtype": dtype}
    return ModelSettings.make(model=name, **values)


def evaluate_settings(settings: AskSettings) -> EvaluateSettings:
    """The evaluation that both sides and every rung get: every setting that it shares with ours, but its sources."""
    shared = EvaluateSettings.model_fields.keys() & type(settings).model_fields.keys() - SOURCES
    return EvaluateSettings.make(**{name: getattr(settings, name) for name in shared})
