"""Search over fine-tuning settings with early evaluation: try many to a fifth, finish the promising.

Names load when they are used: Optuna takes seconds, which every other command would wait for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recollect.search._measured import Correlation as Correlation
    from recollect.search._parameters import Choice as Choice
    from recollect.search._parameters import Float as Float
    from recollect.search._parameters import Int as Int
    from recollect.search._plan import Plan as Plan
    from recollect.search._prepare import machines as machines
    from recollect.search._run import Event as Event
    from recollect.search._run import SearchResult as SearchResult
    from recollect.search._run import run_search as run_search
    from recollect.search._schedule import Scheduler as Scheduler
    from recollect.search._settings import SearchSettings as SearchSettings
    from recollect.search._space import Space as Space
    from recollect.search._starts import default_space as default_space
    from recollect.search._starts import starts as starts
    from recollect.search._summary import Summary as Summary
    from recollect.search._trials import Forecast as Forecast
    from recollect.search._trials import Trial as Trial
    from recollect.search._types import Executor as Executor
    from recollect.search._types import Job as Job
    from recollect.search._types import Outcome as Outcome

_HOME = {
    "_measured": ("Correlation",),
    "_parameters": ("Choice", "Float", "Int"),
    "_plan": ("Plan",),
    "_prepare": ("machines",),
    "_run": ("Event", "SearchResult", "run_search"),
    "_schedule": ("Scheduler",),
    "_settings": ("SearchSettings",),
    "_space": ("Space",),
    "_starts": ("default_space", "starts"),
    "_summary": ("Summary",),
    "_trials": ("Forecast", "Trial"),
    "_types": ("Executor", "Job", "Outcome"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'recollect.search' has no attribute {name!r}")
    return getattr(importlib.import_module(f"recollect.search.{_MODULE_OF[name]}"), name)
