"""A fit: a model and data in, the better model out, and an honest word on whether it was worth it.

Names load when they are used: the search in it needs Optuna, which comes with the extra `search` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recollect.core.extras import check_installed, need
from recollect.core.lazy import lazy_names

if TYPE_CHECKING:
    from recollect.core.workspace.fit import FitFound as FitFound
    from recollect.experiments.fit.prepare import fit_begun as fit_begun
    from recollect.experiments.fit.result import FitResult as FitResult
    from recollect.experiments.fit.run import run_fit as run_fit
    from recollect.experiments.fit.settings import FitSettings as FitSettings
    from recollect.experiments.fit.settings import machines as machines

_PLACES = {
    "FitFound": "recollect.core.workspace.fit",
    "FitResult": ".result",
    "fit_begun": ".prepare",
    "run_fit": ".run",
    "FitSettings": ".settings",
    "machines": ".settings",
}

__all__ = [*_PLACES]

_get, __dir__ = lazy_names(__name__, _PLACES)


def __getattr__(name: str) -> Any:
    asks = {".run": need, ".prepare": check_installed}.get(_PLACES.get(name, ""))
    if asks is not None:
        for package in ("optuna", "sklearn"):
            asks(package, "search", "recollect fit")
    return _get(name)
