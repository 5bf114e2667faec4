"""A script that is no module of the package, loaded from its file: a benchmark, or what makes the pages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def load_script(place: str) -> ModuleType:
    """The module of a file, named from the top of the project."""
    name = Path(place).stem + "_script"  # of a name that no test or module has
    spec = importlib.util.spec_from_file_location(name, ROOT / place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module
