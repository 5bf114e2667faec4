"""Packages whose names load when they are used, so that importing one of them stays quick."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package, whose names are found at their places, "module" or "module:name".

        __getattr__, __dir__ = lazy_names(__name__, {"run_pages": "recollect.extraction.html.step"})

    A place that begins with a dot is in the package itself.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = places[name].partition(":")
        return getattr(importlib.import_module(module, package), attribute or name)

    return get, lambda: sorted(places)
