"""Accuracy of a model on facts: by memory level and domain, with intervals."""

from recollect.evaluate.accuracy import Accuracy as Accuracy
from recollect.evaluate.accuracy import accuracies as accuracies
from recollect.evaluate.accuracy import accuracy_table as accuracy_table
from recollect.evaluate.agreement import Agreement as Agreement
from recollect.evaluate.agreement import HandLabelled as HandLabelled
from recollect.evaluate.agreement import read_hand_labels as read_hand_labels
from recollect.evaluate.found import EvaluateFound as EvaluateFound
from recollect.evaluate.judges import RIGHT as RIGHT
from recollect.evaluate.judges import Judges as Judges
from recollect.evaluate.judges import JudgeSettings as JudgeSettings
from recollect.evaluate.judges import with_right as with_right
from recollect.evaluate.pages import PagesAsked as PagesAsked
from recollect.evaluate.prompts import check_asking as check_asking
from recollect.evaluate.run import EvaluateResult as EvaluateResult
from recollect.evaluate.run import asked_facts as asked_facts
from recollect.evaluate.run import check_evaluate as check_evaluate
from recollect.evaluate.run import facts_of_part as facts_of_part
from recollect.evaluate.run import judge_estimate as judge_estimate
from recollect.evaluate.run import rescore_answers as rescore_answers
from recollect.evaluate.run import run_evaluate as run_evaluate
from recollect.evaluate.run import stored_answers as stored_answers
from recollect.evaluate.settings import EvaluateSettings as EvaluateSettings
from recollect.evaluate.together import EvaluateJob as EvaluateJob
from recollect.evaluate.together import run_evaluates as run_evaluates
from recollect.evaluate.units import CONVERSATION as CONVERSATION
from recollect.evaluate.units import units_of as units_of
