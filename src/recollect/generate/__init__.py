"""Generation behind one protocol (`engine`); the transformers engine keeps caches and prefix trees to itself."""

from recollect.generate.engine import Ask as Ask
from recollect.generate.engine import Drawn as Drawn
from recollect.generate.engine import Engine as Engine
from recollect.generate.engine import Sampling as Sampling
from recollect.generate.engine import engine_notes as engine_notes
from recollect.generate.sampler import prefix_free as prefix_free
from recollect.generate.sampler import starting_probability as starting_probability
from recollect.generate.transformers import TransformersEngine as TransformersEngine
