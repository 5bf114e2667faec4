"""Weights of two models side by side, streamed: read, paired, ranked and written exactly. Knows no fact."""

from recollect.weights.pair import REGIONS as REGIONS
from recollect.weights.pair import CheckpointPair as CheckpointPair
from recollect.weights.pair import Pair as Pair
from recollect.weights.pair import TensorPair as TensorPair
from recollect.weights.pair import in_region as in_region
from recollect.weights.pair import layer_of as layer_of
from recollect.weights.pair import module_of as module_of
from recollect.weights.pair import open_pair as open_pair
from recollect.weights.ranking import ORDERS as ORDERS
from recollect.weights.ranking import Cut as Cut
from recollect.weights.ranking import Ranking as Ranking
from recollect.weights.ranking import rank as rank
from recollect.weights.ranking import rank_tensors as rank_tensors
