"""Models: a name is resolved once, to a checked folder with a fingerprint, and loaded from there."""

from recollect.models.check import check_folder as check_folder
from recollect.models.fetch import get_model as get_model
from recollect.models.find import find_model as find_model
from recollect.models.find import model_fingerprint as model_fingerprint
from recollect.models.find import tokenizer_fingerprint as tokenizer_fingerprint
from recollect.models.load import LoadedModel as LoadedModel
from recollect.models.load import ModelSettings as ModelSettings
from recollect.models.load import check_held as check_held
from recollect.models.load import check_whole as check_whole
from recollect.models.load import held_for as held_for
from recollect.models.load import load as load
from recollect.models.load import load_weights as load_weights
from recollect.models.load import machine_of as machine_of
from recollect.models.ref import ModelRef as ModelRef
from recollect.models.ref import base_changed as base_changed
from recollect.models.ref import begin_input as begin_input
from recollect.models.ref import resolve as resolve
from recollect.models.ref import resolve_name as resolve_name
from recollect.models.ref import write_base_fingerprint as write_base_fingerprint
from recollect.models.silence import without_bars as without_bars
from recollect.models.store import ModelInfo as ModelInfo
from recollect.models.store import list_models as list_models
from recollect.models.whole import load_tokenizer as load_tokenizer
