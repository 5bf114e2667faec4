"""Accuracy of a model on facts: by memory level and domain, with intervals."""

from recollect.evaluate._accuracy import accuracy_table as accuracy_table
from recollect.evaluate._accuracy import summarise as summarise
from recollect.evaluate._run import EvaluateResult as EvaluateResult
from recollect.evaluate._run import rescore as rescore
from recollect.evaluate._run import run_evaluate as run_evaluate
from recollect.evaluate._settings import EvaluateSettings as EvaluateSettings
