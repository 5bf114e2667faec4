"""Search over fine-tuning settings with early evaluation: try many to a fifth, finish the promising.

Names load when they are used: Optuna takes seconds, which every other command would wait for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recollect.experiments.search.measured import Correlation as Correlation
    from recollect.experiments.search.once import Event as Event
    from recollect.experiments.search.once import SearchResult as SearchResult
    from recollect.experiments.search.parameters import Choice as Choice
    from recollect.experiments.search.parameters import Float as Float
    from recollect.experiments.search.parameters import Int as Int
    from recollect.experiments.search.plan import Plan as Plan
    from recollect.experiments.search.prepare import machines as machines
    from recollect.experiments.search.run import run_search as run_search
    from recollect.experiments.search.schedule import Scheduler as Scheduler
    from recollect.experiments.search.settings import SearchSettings as SearchSettings
    from recollect.experiments.search.space import Space as Space
    from recollect.experiments.search.start_points import default_space as default_space
    from recollect.experiments.search.start_points import starts as starts
    from recollect.experiments.search.summary import Summary as Summary
    from recollect.experiments.search.trials import Forecast as Forecast
    from recollect.experiments.search.trials import Trial as Trial
    from recollect.experiments.search.types import Job as Job
    from recollect.experiments.search.types import Outcome as Outcome

_HOME = {
    "measured": ("Correlation",),
    "parameters": ("Choice", "Float", "Int"),
    "plan": ("Plan",),
    "prepare": ("machines",),
    "once": ("Event", "SearchResult"),
    "run": ("run_search",),
    "schedule": ("Scheduler",),
    "settings": ("SearchSettings",),
    "space": ("Space",),
    "start_points": ("default_space", "starts"),
    "summary": ("Summary",),
    "trials": ("Forecast", "Trial"),
    "types": ("Job", "Outcome"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'recollect.experiments.search' has no attribute {name!r}")
    return getattr(importlib.import_module(f"recollect.experiments.search.{_MODULE_OF[name]}"), name)
