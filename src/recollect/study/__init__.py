"""A study: a grid of steps from one YAML file, and its report."""

from recollect.study._run import StudyResult as StudyResult
from recollect.study._run import machines as machines
from recollect.study._run import run_study as run_study
from recollect.study._settings import StudySettings as StudySettings
