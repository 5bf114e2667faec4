"""Fine-tuning: one run, full or LoRA."""

from recollect.train._run import PausedTraining as PausedTraining
from recollect.train._run import TrainResult as TrainResult
from recollect.train._run import run_train as run_train
from recollect.train._run import run_train_until as run_train_until
from recollect.train._settings import PRESETS as PRESETS
from recollect.train._settings import TrainSettings as TrainSettings
from recollect.train._start import training_machine as training_machine
