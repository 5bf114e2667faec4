"""Labels of pages, from their own schema.org data, from a table, or from an LLM; and the examples made of them."""

from recollect.label._examples import Examples as Examples
from recollect.label._examples import make_examples as make_examples
from recollect.label._labels import LABELS as LABELS
from recollect.label._labels import Lost as Lost
from recollect.label._labels import PageText as PageText
from recollect.label._labels import check_labels as check_labels
from recollect.label._llm import Estimate as Estimate
from recollect.label._schema_org import SchemaOrg as SchemaOrg
from recollect.label._schema_org import read_schema_org as read_schema_org
from recollect.label._schema_org import schema_org_values as schema_org_values
from recollect.label._settings import LabelSettings as LabelSettings
from recollect.label._step import LabelResult as LabelResult
from recollect.label._step import label_estimate as label_estimate
from recollect.label._step import run_label as run_label
