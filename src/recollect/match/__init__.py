"""Is this answer right? Pure judges of text, versioned, so that stored text can be judged again with no model.

Every step that says whether an answer is right asks here, and asks with decoded text: the probe by any method,
SliCK, evaluation, the ladder, the search. Containment of an accepted form is the studies' rule and the main judge
(`containment`); answers longer than a name have others (`judges`).
"""

from recollect.match.containment import MATCHER_VERSION as MATCHER_VERSION
from recollect.match.containment import MATCHERS as MATCHERS
from recollect.match.containment import Contained as Contained
from recollect.match.containment import Matcher as Matcher
from recollect.match.containment import contains as contains
from recollect.match.containment import exact as exact
from recollect.match.containment import settled as settled
from recollect.match.containment import word as word
from recollect.match.edges import written_without_blanks as written_without_blanks
from recollect.match.judge import COUNTED_WRONG as COUNTED_WRONG
from recollect.match.judge import Answer as Answer
from recollect.match.judge import Asked as Asked
from recollect.match.judge import Judge as Judge
from recollect.match.judge import Verdict as Verdict
from recollect.match.judges import CONTAINED as CONTAINED
from recollect.match.judges import DEFAULT_JUDGE as DEFAULT_JUDGE
from recollect.match.judges import JUDGES as JUDGES
from recollect.match.judges import check_all as check_all
from recollect.match.judges import judge_of as judge_of
from recollect.match.judges import split_names as split_names
