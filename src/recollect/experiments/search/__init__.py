"""Search over fine-tuning settings with early evaluation: try many to a fifth, finish the promising.

Names load when they are used: Optuna takes seconds, which every other command would wait for, and comes with the extra
`search` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recollect.core.extras import check_installed, need
from recollect.core.lazy import lazy_names

if TYPE_CHECKING:
    from recollect.core.estimates import Correlation as Correlation
    from recollect.experiments.search.correlation import Summary as Summary
    from recollect.experiments.search.once import Event as Event
    from recollect.experiments.search.parameters import Choice as Choice
    from recollect.experiments.search.parameters import Float as Float
    from recollect.experiments.search.parameters import Int as Int
    from recollect.experiments.search.prepare import check_search as check_search
    from recollect.experiments.search.prepare import default_space as default_space
    from recollect.experiments.search.prepare import machines as machines
    from recollect.experiments.search.prepare import starts as starts
    from recollect.experiments.search.results import SearchFound as SearchFound
    from recollect.experiments.search.results import SearchResult as SearchResult
    from recollect.experiments.search.run import run_search as run_search
    from recollect.experiments.search.schedule import Scheduler as Scheduler
    from recollect.experiments.search.settings import Plan as Plan
    from recollect.experiments.search.settings import SearchSettings as SearchSettings
    from recollect.experiments.search.space import Space as Space
    from recollect.experiments.search.trial import Forecast as Forecast
    from recollect.experiments.search.trial import Job as Job
    from recollect.experiments.search.trial import Outcome as Outcome
    from recollect.experiments.search.trial import Trial as Trial

_HOME = {
    "correlation": ("Correlation", "Summary"),
    "parameters": ("Choice", "Float", "Int"),
    "prepare": ("check_search", "default_space", "machines", "starts"),
    "results": ("SearchFound", "SearchResult"),
    "once": ("Event",),
    "run": ("run_search",),
    "schedule": ("Scheduler",),
    "settings": ("Plan", "SearchSettings"),
    "space": ("Space",),
    "trial": ("Forecast", "Job", "Outcome", "Trial"),
}
_NEED_OPTUNA = ("once", "run", "schedule")
_PLACES = {name: f".{module}" for module, names in _HOME.items() for name in names}

__all__ = [*_PLACES]

_get, __dir__ = lazy_names(__name__, _PLACES)


def __getattr__(name: str) -> Any:
    if _PLACES.get(name, "")[1:] in _NEED_OPTUNA or name == "check_search":  # which is asked before they are loaded
        asks = check_installed if name == "check_search" else need
        for package in ("optuna", "sklearn"):
            asks(package, "search")
    return _get(name)
