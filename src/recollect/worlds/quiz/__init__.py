"""The pocket: a synthetic world and a small base model that knows parts of it, shipped with the package."""

from recollect.worlds.quiz.step import PocketResult as PocketResult
from recollect.worlds.quiz.step import PocketSettings as PocketSettings
from recollect.worlds.quiz.step import run_pocket as run_pocket
from recollect.worlds.quiz.world import World as World
from recollect.worlds.quiz.world import make_world as make_world
