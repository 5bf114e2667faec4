"""What a command would do, before it does anything: `--dry-run`."""

from recollect.experiments.plan.curve import plan_curve as plan_curve
from recollect.experiments.plan.fit import plan_fit as plan_fit
from recollect.experiments.plan.found import Assume as Assume
from recollect.experiments.plan.found import Plan as Plan
from recollect.experiments.plan.found import PlanRow as PlanRow
from recollect.experiments.plan.search import plan_search as plan_search
from recollect.experiments.plan.single import plan_probe as plan_probe
from recollect.experiments.plan.single import plan_train as plan_train
from recollect.experiments.plan.study import plan_study as plan_study
