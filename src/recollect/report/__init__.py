"""The report: one self-contained HTML page with its charts, and the results behind it as JSON and tables."""

from recollect.report._render import render as render
from recollect.report._results import Accuracy as Accuracy
from recollect.report._results import BaseScores as BaseScores
from recollect.report._results import Cell as Cell
from recollect.report._results import Completion as Completion
from recollect.report._results import Example as Example
from recollect.report._results import Facts as Facts
from recollect.report._results import LevelCount as LevelCount
from recollect.report._results import MappingExample as MappingExample
from recollect.report._results import Model as Model
from recollect.report._results import Probe as Probe
from recollect.report._results import RelationLevels as RelationLevels
from recollect.report._results import Results as Results
from recollect.report._results import Scores as Scores
from recollect.report._results import SettingValue as SettingValue
from recollect.report._results import StepRecord as StepRecord
from recollect.report._results import TemplateRate as TemplateRate
from recollect.report._results import read_results as read_results
from recollect.report._verdict import verdict as verdict
from recollect.report._write import write_report as write_report
