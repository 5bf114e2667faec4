"""What the training changed, in tokens and in parameters."""

from recollect.drift.change import Change as Change
from recollect.drift.change import change as change
from recollect.drift.compare import BaseSide as BaseSide
from recollect.drift.run import DriftFound as DriftFound
from recollect.drift.run import DriftResult as DriftResult
from recollect.drift.run import run_drift as run_drift
from recollect.drift.settings import DriftSettings as DriftSettings
