"""Generation: one prefill shared by all draws, addressed seeds, exact conditioning, teacher forcing."""

from recollect.generate.greedy import greedy as greedy
from recollect.generate.greedy import stop_tokens as stop_tokens
from recollect.generate.random import draw_keys as draw_keys
from recollect.generate.random import uniforms as uniforms
from recollect.generate.selftest import self_test as self_test
from recollect.generate.state import State as State
from recollect.generate.state import continuation_logprobs as continuation_logprobs
from recollect.generate.state import prefill as prefill
from recollect.generate.tree import sample as sample
from recollect.generate.tree import token_probabilities as token_probabilities
from recollect.generate.trie import Trie as Trie
from recollect.generate.trie import prefix_free as prefix_free
