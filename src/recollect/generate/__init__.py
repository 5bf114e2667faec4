"""Generation: one prefill shared by all draws, addressed seeds, exact conditioning, teacher forcing."""

from recollect.generate._greedy import greedy as greedy
from recollect.generate._greedy import stop_tokens as stop_tokens
from recollect.generate._random import draw_keys as draw_keys
from recollect.generate._random import uniforms as uniforms
from recollect.generate._selftest import self_test as self_test
from recollect.generate._state import State as State
from recollect.generate._state import continuation_logprobs as continuation_logprobs
from recollect.generate._state import prefill as prefill
from recollect.generate._tree import sample as sample
from recollect.generate._tree import token_probabilities as token_probabilities
from recollect.generate._trie import Trie as Trie
from recollect.generate._trie import prefix_free as prefix_free
