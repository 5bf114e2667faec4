"""The pocket: a synthetic world and a small base model that knows parts of it, shipped with the package."""

from recollect.facts import FactSet
from recollect.models import pocket_folder
from recollect.worlds.quiz.build import PocketSettings as PocketSettings
from recollect.worlds.quiz.step import PocketResult as PocketResult
from recollect.worlds.quiz.step import run_pocket as run_pocket
from recollect.worlds.quiz.world import World as World
from recollect.worlds.quiz.world import make_world as make_world


def pocket_facts() -> FactSet:
    """The facts of the shipped pocket world (train, test and ood; the teachers are not among them)."""
    facts = FactSet.read(pocket_folder() / "facts.parquet")
    return FactSet(facts.facts, "pocket")
