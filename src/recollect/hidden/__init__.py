"""Facts that a model never says, split: hidden, where it prefers the right answer all the same, or absent."""

from recollect.hidden.settings import HiddenFound as HiddenFound
from recollect.hidden.settings import HiddenSettings as HiddenSettings
from recollect.hidden.step import HiddenResult as HiddenResult
from recollect.hidden.step import run_hidden as run_hidden
