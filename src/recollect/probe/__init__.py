"""The probe: what a base model knows, fact by fact."""

from recollect.probe._levels import level_of as level_of
from recollect.probe._settings import ProbeSettings as ProbeSettings
from recollect.probe._slick import SlickResult as SlickResult
from recollect.probe._slick import SlickSettings as SlickSettings
from recollect.probe._slick import run_slick as run_slick
from recollect.probe._step import ProbeResult as ProbeResult
from recollect.probe._step import rescore as rescore
from recollect.probe._step import run_probe as run_probe
