"""Models on the same questions: which answers flipped, and whether the difference is more than chance."""

from recollect.compare.chance import chance_of_a_guess as chance_of_a_guess
from recollect.compare.flips import Flip as Flip
from recollect.compare.flips import Flips as Flips
from recollect.compare.flips import count_flips as count_flips
from recollect.compare.found import CompareFound as CompareFound
from recollect.compare.found import CompareResult as CompareResult
from recollect.compare.found import Comparison as Comparison
from recollect.compare.found import Contender as Contender
from recollect.compare.run import compare_evaluations as compare_evaluations
from recollect.compare.run import run_compare as run_compare
from recollect.compare.settings import CompareSettings as CompareSettings
