"""An object of JSON or YAML from outside, unchecked: nothing is known of its values."""

from __future__ import annotations

from typing import Any

JsonObject = dict[str, Any]
