"""How to put back what the training changed, and which restoration is worth it."""

from recollect.drift.settings import LadderSettings as LadderSettings
from recollect.drift.settings import RestoreSettings as RestoreSettings
from recollect.restore.ladder import LadderResult as LadderResult
from recollect.restore.ladder import run_ladder as run_ladder
from recollect.restore.run import RestoreResult as RestoreResult
from recollect.restore.run import restore as restore
