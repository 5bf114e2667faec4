"""What the training changed, in tokens and in parameters, and how to put it back."""

from recollect.drift._change import Change as Change
from recollect.drift._change import change as change
from recollect.drift._compare import BaseSide as BaseSide
from recollect.drift._drift import DriftResult as DriftResult
from recollect.drift._drift import run_drift as run_drift
from recollect.drift._general import read_texts as read_texts
from recollect.drift._ladder import LadderResult as LadderResult
from recollect.drift._ladder import run_ladder as run_ladder
from recollect.drift._pair import CheckpointPair as CheckpointPair
from recollect.drift._pair import Pair as Pair
from recollect.drift._pair import TensorPair as TensorPair
from recollect.drift._pair import open_pair as open_pair
from recollect.drift._rank import ORDERS as ORDERS
from recollect.drift._rank import Cut as Cut
from recollect.drift._rank import Ranking as Ranking
from recollect.drift._rank import rank as rank
from recollect.drift._rank import rank_tensors as rank_tensors
from recollect.drift._regions import REGIONS as REGIONS
from recollect.drift._regions import in_region as in_region
from recollect.drift._regions import layer_of as layer_of
from recollect.drift._regions import module_of as module_of
from recollect.drift._restore import RestoreResult as RestoreResult
from recollect.drift._restore import restore as restore
from recollect.drift._settings import DriftSettings as DriftSettings
from recollect.drift._settings import LadderSettings as LadderSettings
from recollect.drift._settings import RestoreSettings as RestoreSettings
