"""Many cells at once on this machine: as adapters of one base in one pass, or in several processes; where it pays."""

from recollect.experiments.many.executor import CellExecutor as CellExecutor
from recollect.experiments.many.executor import cell_executor as cell_executor
