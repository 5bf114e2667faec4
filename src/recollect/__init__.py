"""Recollect: fine-tune language models on little data.

Measure what a base model knows, pick the few examples that elicit it, see how well each choice works. Every step is one
function that takes settings and inputs and returns a result that also lives on disk. Names load when they are used, so
that `import recollect` (and `recollect --version`) stays quick; `recollect.steps` lists them, and the lines below are
for type checkers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recollect._version import __version__ as __version__
from recollect.core.lazy import lazy_names
from recollect.steps import public_names

if TYPE_CHECKING:
    from recollect.ask import side_by_side as side_by_side
    from recollect.chat import DataSettings as DataSettings
    from recollect.chat import read_conversations as read_conversations
    from recollect.chat import run_data as run_data
    from recollect.compare import CompareSettings as CompareSettings
    from recollect.compare import compare_evaluations as compare_evaluations
    from recollect.compare import compare_levels as compare_levels
    from recollect.compare import run_compare as run_compare
    from recollect.drift import DriftSettings as DriftSettings
    from recollect.drift import run_drift as run_drift
    from recollect.errors import InputError as InputError
    from recollect.errors import MissingExtra as MissingExtra
    from recollect.errors import ModelError as ModelError
    from recollect.errors import RecollectError as RecollectError
    from recollect.errors import StepError as StepError
    from recollect.evaluate import EvaluateJob as EvaluateJob
    from recollect.evaluate import EvaluateSettings as EvaluateSettings
    from recollect.evaluate import run_evaluate as run_evaluate
    from recollect.evaluate import run_evaluates as run_evaluates
    from recollect.experiments.curve import CurveSettings as CurveSettings
    from recollect.experiments.curve import judge_curve as judge_curve
    from recollect.experiments.curve import run_curve as run_curve
    from recollect.experiments.fit import FitSettings as FitSettings
    from recollect.experiments.fit import run_fit as run_fit
    from recollect.experiments.search import SearchSettings as SearchSettings
    from recollect.experiments.search import Space as Space
    from recollect.experiments.search import run_search as run_search
    from recollect.experiments.study import StudySettings as StudySettings
    from recollect.experiments.study import WorkSettings as WorkSettings
    from recollect.experiments.study import run_grid as run_grid
    from recollect.experiments.study import run_study as run_study
    from recollect.experiments.study import run_work as run_work
    from recollect.export import ExportSettings as ExportSettings
    from recollect.export import run_export as run_export
    from recollect.extraction.html import PagesSettings as PagesSettings
    from recollect.extraction.html import run_pages as run_pages
    from recollect.extraction.labels import LabelSettings as LabelSettings
    from recollect.extraction.labels import run_label as run_label
    from recollect.extraction.values import ScoreSettings as ScoreSettings
    from recollect.extraction.values import run_score as run_score
    from recollect.facts import Fact as Fact
    from recollect.facts import FactSet as FactSet
    from recollect.facts import FactsSettings as FactsSettings
    from recollect.facts import load_facts as load_facts
    from recollect.facts import run_facts as run_facts
    from recollect.facts import write_csv as write_csv
    from recollect.hidden import HiddenSettings as HiddenSettings
    from recollect.hidden import run_hidden as run_hidden
    from recollect.models import ModelInfo as ModelInfo
    from recollect.models import ModelSettings as ModelSettings
    from recollect.models import get_model as get_model
    from recollect.models import list_models as list_models
    from recollect.models import load as load_model
    from recollect.probe import ProbeJob as ProbeJob
    from recollect.probe import ProbeSettings as ProbeSettings
    from recollect.probe import SlickSettings as SlickSettings
    from recollect.probe import rescore_levels as rescore
    from recollect.probe import run_probe as run_probe
    from recollect.probe import run_probes as run_probes
    from recollect.probe import run_slick as run_slick
    from recollect.report import Results as Results
    from recollect.report import read_results as read_results
    from recollect.report import verdict as verdict
    from recollect.report import write_report as write_report
    from recollect.restore import LadderSettings as LadderSettings
    from recollect.restore import RestoreSettings as RestoreSettings
    from recollect.restore import run_ladder as run_ladder
    from recollect.restore import run_restore as run_restore
    from recollect.select import SelectSettings as SelectSettings
    from recollect.select import run_select as run_select
    from recollect.train import PausedTraining as PausedTraining
    from recollect.train import TrainSettings as TrainSettings
    from recollect.train import run_train as run_train
    from recollect.train import run_train_until as run_train_until
    from recollect.train.stack import TrainJob as TrainJob
    from recollect.train.stack import run_trains as run_trains
    from recollect.watch import write_once as write_once
    from recollect.worlds.quiz import PocketSettings as PocketSettings
    from recollect.worlds.quiz import run_pocket as run_pocket
    from recollect.worlds.shop import ShopSettings as ShopSettings
    from recollect.worlds.shop import run_shop as run_shop

_PLACES = public_names()

__all__ = ["__version__", *_PLACES]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
