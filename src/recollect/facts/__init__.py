"""Facts: what is asked, and where it comes from."""

from recollect.facts._fact import Domain as Domain
from recollect.facts._fact import Fact as Fact
from recollect.facts._fact import FactSet as FactSet
from recollect.facts._fact import Part as Part
from recollect.facts._fact import Split as Split
from recollect.facts._relations import Relation as Relation
from recollect.facts._relations import read_relations as read_relations
from recollect.facts._relations import relation_of as relation_of
from recollect.facts._relations import shipped_relations as shipped_relations
from recollect.facts._step import FactsResult as FactsResult
from recollect.facts._step import FactsSettings as FactsSettings
from recollect.facts._step import load_facts as load_facts
from recollect.facts._step import read_facts as read_facts
from recollect.facts._step import run_facts as run_facts
from recollect.facts._synonyms import synonyms_for as synonyms_for
