"""Fine-tuning: one run, full or LoRA."""

from recollect.train.found import PausedTraining as PausedTraining
from recollect.train.found import TrainFound as TrainFound
from recollect.train.found import TrainResult as TrainResult
from recollect.train.model import training_machine as training_machine
from recollect.train.run import check_train as check_train
from recollect.train.run import run_train as run_train
from recollect.train.run import run_train_until as run_train_until
from recollect.train.settings import PRESETS as PRESETS
from recollect.train.settings import TrainSettings as TrainSettings
