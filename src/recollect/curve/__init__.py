"""The data curve: score over training size, and its verdict: saturated, rising, peaked or undecided."""

from recollect.curve._items import Items as Items
from recollect.curve._items import item_table as item_table
from recollect.curve._observations import Observations as Observations
from recollect.curve._observations import from_items as from_items
from recollect.curve._observations import read_scores as read_scores
from recollect.curve._run import CurveResult as CurveResult
from recollect.curve._run import machines as machines
from recollect.curve._run import run_curve as run_curve
from recollect.curve._settings import CurveSettings as CurveSettings
from recollect.curve._verdict import Verdict as Verdict
from recollect.curve._verdict import judge_curve as judge_curve
from recollect.curve._words import verdict_json as verdict_json
from recollect.curve._words import verdict_lines as verdict_lines
