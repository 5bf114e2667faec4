"""The data curve: score over training size, and its verdict: saturated, rising, peaked or undecided."""

from recollect.core.workspace.curve import CurveFound as CurveFound
from recollect.core.workspace.curve import Gain as Gain
from recollect.core.workspace.curve import Verdict as Verdict
from recollect.experiments.curve.observations import Items as Items
from recollect.experiments.curve.observations import Observations as Observations
from recollect.experiments.curve.observations import from_items as from_items
from recollect.experiments.curve.observations import item_table as item_table
from recollect.experiments.curve.run import CurveResult as CurveResult
from recollect.experiments.curve.run import check_curve as check_curve
from recollect.experiments.curve.run import machines as machines
from recollect.experiments.curve.run import run_curve as run_curve
from recollect.experiments.curve.scores_file import read_scores as read_scores
from recollect.experiments.curve.settings import CurveSettings as CurveSettings
from recollect.experiments.curve.verdict import judge_curve as judge_curve
from recollect.experiments.curve.words import verdict_lines as verdict_lines
