"""A trained model, taken away: in the forms that other programs load, each checked against the original."""

from recollect.export.run import ExportFound as ExportFound
from recollect.export.run import ExportResult as ExportResult
from recollect.export.run import run_export as run_export
from recollect.export.settings import ExportSettings as ExportSettings
