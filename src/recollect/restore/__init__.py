"""How to put back what the training changed, and which restoration is worth it."""

from recollect.restore.between import run_between as run_between
from recollect.restore.choose import Choice as Choice
from recollect.restore.ladder import LadderFound as LadderFound
from recollect.restore.ladder import LadderResult as LadderResult
from recollect.restore.ladder import Rung as Rung
from recollect.restore.ladder import run_ladder as run_ladder
from recollect.restore.run import RestoreFound as RestoreFound
from recollect.restore.run import RestoreResult as RestoreResult
from recollect.restore.run import run_restore as run_restore
from recollect.restore.settings import LadderSettings as LadderSettings
from recollect.restore.settings import RestoreSettings as RestoreSettings
from recollect.weights.ranking import USUAL_PERCENT as USUAL_PERCENT
