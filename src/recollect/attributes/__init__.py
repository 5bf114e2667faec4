"""Attributes of a page: which are wanted, when two values are equal, and how answers are scored."""

from recollect.attributes._answers import Decode as Decode
from recollect.attributes._answers import compact_json as compact_json
from recollect.attributes._answers import parse_answer as parse_answer
from recollect.attributes._normalise import equal as equal
from recollect.attributes._normalise import normalise as normalise
from recollect.attributes._normalise import readings as readings
from recollect.attributes._occurs import find as find
from recollect.attributes._occurs import occurs as occurs
from recollect.attributes._run import ScoreResult as ScoreResult
from recollect.attributes._run import ScoreSettings as ScoreSettings
from recollect.attributes._run import run_score as run_score
from recollect.attributes._run import score_values as score_values
from recollect.attributes._schema import AVAILABILITY as AVAILABILITY
from recollect.attributes._schema import Attribute as Attribute
from recollect.attributes._schema import AttributeType as AttributeType
from recollect.attributes._schema import Schema as Schema
from recollect.attributes._schema import make_schema as make_schema
from recollect.attributes._schema import read_schema as read_schema
from recollect.attributes._score import VALUES as VALUES
from recollect.attributes._score import PageAnswer as PageAnswer
from recollect.attributes._score import items as items
from recollect.attributes._score import judge as judge
from recollect.attributes._score import score as score
from recollect.attributes._tables import Values as Values
from recollect.attributes._tables import read_values as read_values
from recollect.attributes._tables import same_pages as same_pages
