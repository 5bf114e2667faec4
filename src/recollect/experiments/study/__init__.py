"""A study: a grid of steps from one YAML file, and its report; or several of them, over models, data and methods."""

from recollect.core.workspace.experiment import GridFound as GridFound
from recollect.core.workspace.experiment import StudyFound as StudyFound
from recollect.experiments.study.grid import GridResult as GridResult
from recollect.experiments.study.grid import grid_parts as grid_parts
from recollect.experiments.study.grid import run_grid as run_grid
from recollect.experiments.study.run import StudyResult as StudyResult
from recollect.experiments.study.run import check_study as check_study
from recollect.experiments.study.run import run_study as run_study
from recollect.experiments.study.settings import StudySettings as StudySettings
from recollect.experiments.study.settings import machines as machines
from recollect.experiments.study.together import WorkSettings as WorkSettings
from recollect.experiments.study.together import run_work as run_work
