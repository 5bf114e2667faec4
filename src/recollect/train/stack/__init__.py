"""Many LoRA trainings of one base in one pass."""

from recollect.train.stack.job import TrainJob as TrainJob
from recollect.train.stack.job import why_not_together as why_not_together
from recollect.train.stack.run import run_trains as run_trains
