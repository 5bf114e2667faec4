"""Intervals and comparisons of accuracies; see docs/statistics.md. Every value is a fraction in 0..1."""

from recollect.core.estimates.agreement import agreement as agreement
from recollect.core.estimates.agreement import kappa as kappa
from recollect.core.estimates.clusters import clustered as clustered
from recollect.core.estimates.clusters import clustered_macro as clustered_macro
from recollect.core.estimates.clusters import clustered_ratio as clustered_ratio
from recollect.core.estimates.contrasts import Cell as Cell
from recollect.core.estimates.contrasts import Contrast as Contrast
from recollect.core.estimates.contrasts import Trainings as Trainings
from recollect.core.estimates.contrasts import Weights as Weights
from recollect.core.estimates.contrasts import macro as macro
from recollect.core.estimates.correlations import LEAST_CELLS as LEAST_CELLS
from recollect.core.estimates.correlations import CorrelationDifference as CorrelationDifference
from recollect.core.estimates.correlations import RankCorrelation as RankCorrelation
from recollect.core.estimates.correlations import rank_correlation as rank_correlation
from recollect.core.estimates.differences import Mean as Mean
from recollect.core.estimates.differences import Pairs as Pairs
from recollect.core.estimates.differences import by_level as by_level
from recollect.core.estimates.differences import difference_of_paired as difference_of_paired
from recollect.core.estimates.differences import (
    independent_difference_of_differences as independent_difference_of_differences,
)
from recollect.core.estimates.differences import levels_entering as levels_entering
from recollect.core.estimates.differences import mean_score as mean_score
from recollect.core.estimates.differences import paired as paired
from recollect.core.estimates.differences import paired_difference as paired_difference
from recollect.core.estimates.differences import paired_difference_of_differences as paired_difference_of_differences
from recollect.core.estimates.differences import unpaired as unpaired
from recollect.core.estimates.families import Claimed as Claimed
from recollect.core.estimates.families import Verdict as Verdict
from recollect.core.estimates.families import decide as decide
from recollect.core.estimates.intervals import CONFIDENCE as CONFIDENCE
from recollect.core.estimates.intervals import LEAST_PER_LEVEL as LEAST_PER_LEVEL
from recollect.core.estimates.intervals import Estimate as Estimate
from recollect.core.estimates.intervals import Macro as Macro
from recollect.core.estimates.intervals import enough as enough
from recollect.core.estimates.intervals import macro_mean as macro_mean
from recollect.core.estimates.intervals import macro_over as macro_over
from recollect.core.estimates.intervals import proportion as proportion
from recollect.core.estimates.measures import Extreme as Extreme
from recollect.core.estimates.measures import Measure as Measure
from recollect.core.estimates.significance import benjamini_hochberg as benjamini_hochberg
from recollect.core.estimates.significance import holm as holm
from recollect.core.estimates.significance import mcnemar as mcnemar
from recollect.core.estimates.trainings import NO_REPEATS as NO_REPEATS
from recollect.core.estimates.trainings import NoRepeats as NoRepeats
from recollect.core.estimates.trainings import Spread as Spread
from recollect.core.estimates.trainings import spread_of as spread_of
from recollect.core.estimates.trainings import trained_difference as trained_difference
from recollect.core.estimates.trainings import trained_score as trained_score
from recollect.core.estimates.trainings import training_difference as training_difference
from recollect.core.random import halves as halves
from recollect.core.random import winner as winner
