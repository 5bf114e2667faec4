"""A question to a base, to what was made of it, and to what was restored, side by side."""

from recollect.ask.answers import Answer as Answer
from recollect.ask.answers import SideBySide as SideBySide
from recollect.ask.answers import side_by_side as side_by_side
from recollect.ask.known import KnownAnswers as KnownAnswers
from recollect.ask.known import is_right as is_right
from recollect.ask.known import known_answers as known_answers
from recollect.ask.sides import Sides as Sides
from recollect.ask.sides import find_sides as find_sides
