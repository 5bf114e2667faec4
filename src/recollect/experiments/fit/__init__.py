"""A fit: a model and data in, the better model out, and an honest word on whether it was worth it."""

from recollect.core.workspace.fit import FitFound as FitFound
from recollect.experiments.fit.result import FitResult as FitResult
from recollect.experiments.fit.run import fit_begun as fit_begun
from recollect.experiments.fit.run import run_fit as run_fit
from recollect.experiments.fit.settings import FitSettings as FitSettings
from recollect.experiments.fit.settings import machines as machines
