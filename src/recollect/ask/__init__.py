"""A question to a base, to what was made of it, and to what was restored, side by side."""

from recollect.ask.answers import Answer as Answer
from recollect.ask.answers import SideBySide as SideBySide
from recollect.ask.answers import side_by_side as side_by_side
from recollect.ask.sides import Sides as Sides
from recollect.ask.sides import find_sides as find_sides
