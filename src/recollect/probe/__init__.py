"""The probe: what a base model knows, fact by fact."""

from recollect.probe.examples import read_examples as read_examples
from recollect.probe.jobs import choice_inputs as choice_inputs
from recollect.probe.jobs import chosen_facts as chosen_facts
from recollect.probe.jobs import forms_input as forms_input
from recollect.probe.levels import level_of as level_of
from recollect.probe.settings import ProbeFound as ProbeFound
from recollect.probe.settings import ProbeSettings as ProbeSettings
from recollect.probe.slick import SlickFound as SlickFound
from recollect.probe.slick import SlickResult as SlickResult
from recollect.probe.slick import SlickSettings as SlickSettings
from recollect.probe.slick import run_slick as run_slick
from recollect.probe.step import ProbeResult as ProbeResult
from recollect.probe.step import rescore_levels as rescore_levels
from recollect.probe.step import run_probe as run_probe
from recollect.probe.together import ProbeJob as ProbeJob
from recollect.probe.together import run_probes as run_probes
