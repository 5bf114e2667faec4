"""Models on the same questions: which answers flipped, and whether the difference is more than chance."""

from recollect.compare.apart import ApartBeyondDraws as ApartBeyondDraws
from recollect.compare.apart import Graded as Graded
from recollect.compare.chance import chance_of_a_guess as chance_of_a_guess
from recollect.compare.flips import Flip as Flip
from recollect.compare.flips import Flips as Flips
from recollect.compare.flips import count_flips as count_flips
from recollect.compare.found import CompareFound as CompareFound
from recollect.compare.found import CompareResult as CompareResult
from recollect.compare.found import Comparison as Comparison
from recollect.compare.found import Contender as Contender
from recollect.compare.levels import compare_levels as compare_levels
from recollect.compare.levels import levels_found as levels_found
from recollect.compare.levels_found import LevelPair as LevelPair
from recollect.compare.levels_found import LevelsFound as LevelsFound
from recollect.compare.levels_found import LevelShares as LevelShares
from recollect.compare.levels_found import LevelsResult as LevelsResult
from recollect.compare.probes import read_probe as read_probe
from recollect.compare.probes import read_probes as read_probes
from recollect.compare.run import check_compare as check_compare
from recollect.compare.run import compare_evaluations as compare_evaluations
from recollect.compare.run import run_compare as run_compare
from recollect.compare.settings import CompareSettings as CompareSettings
