"""Recollect: fine-tune language models on little data.

Measure what a base model knows, pick the few examples that elicit it, see how well each choice works. Every step is one
function that takes settings and inputs and returns a result that also lives on disk. Names load when they are used, so
that `import recollect` (and `recollect --version`) stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from recollect._version import __version__ as __version__

if TYPE_CHECKING:
    from recollect.drift import DriftSettings as DriftSettings
    from recollect.drift import run_drift as run_drift
    from recollect.errors import InputError as InputError
    from recollect.errors import ModelError as ModelError
    from recollect.errors import RecollectError as RecollectError
    from recollect.errors import StepError as StepError
    from recollect.evaluate import EvaluateSettings as EvaluateSettings
    from recollect.evaluate import run_evaluate as run_evaluate
    from recollect.experiments.curve import CurveSettings as CurveSettings
    from recollect.experiments.curve import judge_curve as judge_curve
    from recollect.experiments.curve import run_curve as run_curve
    from recollect.experiments.search import SearchSettings as SearchSettings
    from recollect.experiments.search import Space as Space
    from recollect.experiments.search import run_search as run_search
    from recollect.experiments.study import StudySettings as StudySettings
    from recollect.experiments.study import run_study as run_study
    from recollect.facts import Fact as Fact
    from recollect.facts import FactSet as FactSet
    from recollect.facts import FactsSettings as FactsSettings
    from recollect.facts import load_facts as load_facts
    from recollect.facts import run_facts as run_facts
    from recollect.models import ModelSettings as ModelSettings
    from recollect.models import load as load_model
    from recollect.probe import ProbeSettings as ProbeSettings
    from recollect.probe import SlickSettings as SlickSettings
    from recollect.probe import rescore_levels as rescore
    from recollect.probe import run_probe as run_probe
    from recollect.probe import run_slick as run_slick
    from recollect.report import Results as Results
    from recollect.report import read_results as read_results
    from recollect.report import verdict as verdict
    from recollect.report import write_report as write_report
    from recollect.restore import LadderSettings as LadderSettings
    from recollect.restore import restore as restore
    from recollect.restore import run_ladder as run_ladder
    from recollect.select import SelectSettings as SelectSettings
    from recollect.select import run_select as run_select
    from recollect.train import PausedTraining as PausedTraining
    from recollect.train import TrainSettings as TrainSettings
    from recollect.train import run_train as run_train
    from recollect.train import run_train_until as run_train_until
    from recollect.worlds.quiz import PocketSettings as PocketSettings
    from recollect.worlds.quiz import run_pocket as run_pocket

_HOME = {
    "drift": ("DriftSettings", "run_drift"),
    "experiments.curve": ("CurveSettings", "judge_curve", "run_curve"),
    "errors": ("InputError", "ModelError", "RecollectError", "StepError"),
    "evaluate": ("EvaluateSettings", "run_evaluate"),
    "facts": ("Fact", "FactSet", "FactsSettings", "load_facts", "run_facts"),
    "models": ("ModelSettings", "load_model"),
    "worlds.quiz": ("PocketSettings", "run_pocket"),
    "probe": ("ProbeSettings", "SlickSettings", "rescore", "run_probe", "run_slick"),
    "restore": ("LadderSettings", "restore", "run_ladder"),
    "report": ("Results", "read_results", "verdict", "write_report"),
    "experiments.search": ("SearchSettings", "Space", "run_search"),
    "select": ("SelectSettings", "run_select"),
    "experiments.study": ("StudySettings", "run_study"),
    "train": ("PausedTraining", "TrainSettings", "run_train", "run_train_until"),
}
_ALIASES = {"load_model": "load", "rescore": "rescore_levels"}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'recollect' has no attribute {name!r}")
    return getattr(importlib.import_module(f"recollect.{_MODULE_OF[name]}"), _ALIASES.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
