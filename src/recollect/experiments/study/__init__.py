"""A study: a grid of steps from one YAML file, and its report."""

from recollect.core.workspace.experiment import StudyFound as StudyFound
from recollect.experiments.study.run import StudyResult as StudyResult
from recollect.experiments.study.run import run_study as run_study
from recollect.experiments.study.settings import StudySettings as StudySettings
from recollect.experiments.study.settings import machines as machines
