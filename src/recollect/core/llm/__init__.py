"""Questions to an LLM behind an OpenAI-compatible endpoint: what they cost, a cache, a deadline, no leaks."""

from recollect.core.llm.batch import Bound as Bound
from recollect.core.llm.batch import Inquiry as Inquiry
from recollect.core.llm.batch import Progress as Progress
from recollect.core.llm.batch import Replies as Replies
from recollect.core.llm.batch import bound_of as bound_of
from recollect.core.llm.client import Refused as Refused
from recollect.core.llm.client import between_marks as between_marks
from recollect.core.llm.client import check_server as check_server
from recollect.core.llm.client import request as request
from recollect.core.llm.client import usage_cost as usage_cost
from recollect.core.llm.posts import post_all as post_all
from recollect.core.llm.posts import read_path as read_path
from recollect.core.llm.settings import CompletionsSettings as CompletionsSettings
from recollect.core.llm.settings import ServerSettings as ServerSettings
