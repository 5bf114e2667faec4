"""Facts: what is asked, and where it comes from."""

from recollect.facts.chat import EARLIER as EARLIER
from recollect.facts.fact import TURNS as TURNS
from recollect.facts.fact import Beside as Beside
from recollect.facts.fact import Domain as Domain
from recollect.facts.fact import Fact as Fact
from recollect.facts.fact import FactSet as FactSet
from recollect.facts.fact import Part as Part
from recollect.facts.fact import Split as Split
from recollect.facts.reading import near_key as near_key
from recollect.facts.relations import Relation as Relation
from recollect.facts.relations import read_relations as read_relations
from recollect.facts.relations import relation_of as relation_of
from recollect.facts.relations import shipped_relations as shipped_relations
from recollect.facts.step import FactsResult as FactsResult
from recollect.facts.step import FactsSettings as FactsSettings
from recollect.facts.step import load_facts as load_facts
from recollect.facts.step import read_facts as read_facts
from recollect.facts.step import run_facts as run_facts
from recollect.facts.synonyms import synonyms_for as synonyms_for
from recollect.facts.written import write_csv as write_csv
