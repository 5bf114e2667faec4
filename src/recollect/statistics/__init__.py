"""Intervals and comparisons of accuracies; see docs/statistics.md. Every value is a fraction in 0..1."""

from recollect.statistics._clusters import clustered as clustered
from recollect.statistics._clusters import clustered_macro as clustered_macro
from recollect.statistics._clusters import clustered_ratio as clustered_ratio
from recollect.statistics._differences import Pairs as Pairs
from recollect.statistics._differences import by_level as by_level
from recollect.statistics._differences import difference_of_paired as difference_of_paired
from recollect.statistics._differences import mean_score as mean_score
from recollect.statistics._differences import paired as paired
from recollect.statistics._differences import unpaired as unpaired
from recollect.statistics._estimate import CONFIDENCE as CONFIDENCE
from recollect.statistics._estimate import Estimate as Estimate
from recollect.statistics._halves import halves as halves
from recollect.statistics._halves import winner as winner
from recollect.statistics._outputs import Matcher as Matcher
from recollect.statistics._outputs import Mean as Mean
from recollect.statistics._outputs import (
    independent_difference_of_differences as independent_difference_of_differences,
)
from recollect.statistics._outputs import levels_entering as levels_entering
from recollect.statistics._outputs import paired_difference as paired_difference
from recollect.statistics._outputs import paired_difference_of_differences as paired_difference_of_differences
from recollect.statistics._single import LEAST_PER_LEVEL as LEAST_PER_LEVEL
from recollect.statistics._single import Macro as Macro
from recollect.statistics._single import enough as enough
from recollect.statistics._single import macro_mean as macro_mean
from recollect.statistics._single import macro_over as macro_over
from recollect.statistics._single import proportion as proportion
from recollect.statistics._trainings import NO_REPEATS as NO_REPEATS
from recollect.statistics._trainings import NoRepeats as NoRepeats
from recollect.statistics._trainings import Spread as Spread
from recollect.statistics._trainings import spread_of as spread_of
from recollect.statistics._trainings import trained_difference as trained_difference
from recollect.statistics._trainings import trained_score as trained_score
from recollect.statistics._trainings import training_difference as training_difference
