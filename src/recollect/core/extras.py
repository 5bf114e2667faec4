"""Optional dependencies: imported where they are used, with one line that names the extra where they are missing."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from recollect.errors import MissingExtra


def need(module: str, extra: str, what: str = "") -> Any:
    """The module, imported; MissingExtra where its package is not installed.

    extra: the extra of Recollect that brings it. what: who needs it, "recollect EXTRA" unless given.

        html = need("lxml.html", "pages")
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # the package is there and lacks one of its own: its trouble, told in its own words
        raise _missing(package, extra, what) from None


def check_installed(package: str, extra: str, what: str = "") -> None:
    """As `need`, without importing the package, which may take seconds: MissingExtra where it is not installed."""
    try:
        found = find_spec(package)
    except ModuleNotFoundError:  # from a finder that refuses it by name
        found = None
    if found is None:
        raise _missing(package, extra, what)


def _missing(package: str, extra: str, what: str) -> MissingExtra:
    return MissingExtra(
        f"{what or f'recollect {extra}'} needs {package}, which is not installed: pip install 'recollect[{extra}]'"
    )
