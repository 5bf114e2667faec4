"""Models: a name is found, checked, loaded and fingerprinted."""

from recollect.models.base_fingerprint import write_base_fingerprint as write_base_fingerprint
from recollect.models.check import adapter_base as adapter_base
from recollect.models.check import check_folder as check_folder
from recollect.models.check import model_fingerprint as model_fingerprint
from recollect.models.find import find_model as find_model
from recollect.models.loader import LoadedModel as LoadedModel
from recollect.models.loader import ModelSettings as ModelSettings
from recollect.models.loader import check_held as check_held
from recollect.models.loader import check_model as check_model
from recollect.models.loader import check_whole as check_whole
from recollect.models.loader import held_for as held_for
from recollect.models.loader import load as load
from recollect.models.loader import load_folder as load_folder
from recollect.models.loader import machine_of as machine_of
