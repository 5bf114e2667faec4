"""Labels of pages, from their own schema.org data, from a table, or from an LLM; and the examples made of them."""

from recollect.extraction.labels.llm import CostBound as CostBound
from recollect.extraction.labels.schema_org import SchemaOrg as SchemaOrg
from recollect.extraction.labels.schema_org import read_schema_org as read_schema_org
from recollect.extraction.labels.schema_org import schema_org_values as schema_org_values
from recollect.extraction.labels.settings import LabelSettings as LabelSettings
from recollect.extraction.labels.step import LabelFound as LabelFound
from recollect.extraction.labels.step import LabelResult as LabelResult
from recollect.extraction.labels.step import label_estimate as label_estimate
from recollect.extraction.labels.step import run_label as run_label
