"""An adapter knows the weights of the base it was trained on, and tells when they are others now.

Our training leaves the base's fingerprint beside the adapter; the manifest of its step holds it too. Adapters made
elsewhere have neither, and nothing is said of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recollect.errors import ModelError
from recollect.models.check import model_fingerprint
from recollect.models.headers import read_json

_FILE = "base_fingerprint.json"


def write_base_fingerprint(adapter: Path, fingerprint: str) -> None:
    """Leave the fingerprint of an adapter's base (`model_fingerprint`) beside the adapter's weights."""
    text = json.dumps({"base_fingerprint": fingerprint}, indent=2)
    (adapter / _FILE).write_text(text + "\n", encoding="utf-8")


def base_changed(adapter: Path, base: Path, fingerprint: str | None = None) -> str:
    """A warning when `base` is not what the adapter was trained on; nothing when it is, or when nobody knows.

    `fingerprint`: the base's as it is now, where that is known already.
    """
    known = _noted(adapter) or _of_step(adapter)
    if known is None or known == (fingerprint or model_fingerprint(base)):
        return ""
    return (
        f"The adapter {adapter} was trained on other weights than {base} holds now (fingerprint {known[:12]}): the "
        "base has changed since, and what it answers now is another model's."
    )


def _noted(adapter: Path) -> str | None:
    """What our training left beside the adapter."""
    value = _read(adapter / _FILE).get("base_fingerprint")
    return value if isinstance(value, str) else None


def _of_step(adapter: Path) -> str | None:
    """What the manifest of the adapter's train step says."""
    manifest = _read(adapter.parent / "manifest.json") if adapter.name == "model" else {}
    inputs = manifest.get("inputs") if manifest.get("step") == "train" else None
    value = inputs.get("model") if isinstance(inputs, dict) else None
    return value if isinstance(value, str) else None


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_json(file) if file.is_file() else {}
    except ModelError:
        return {}
