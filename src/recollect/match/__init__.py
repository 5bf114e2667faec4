"""Is this answer right? Pure matchers on text, versioned, and the one normal form in which texts are compared."""

from recollect.match.matchers import MATCHER_VERSION as MATCHER_VERSION
from recollect.match.matchers import MATCHERS as MATCHERS
from recollect.match.matchers import MatcherName as MatcherName
from recollect.match.matchers import contains as contains
from recollect.match.matchers import exact as exact
from recollect.match.matchers import settled as settled
from recollect.match.matchers import word as word
