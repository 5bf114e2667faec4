"""Product pages: raw HTML to compact, faithful prompts within a token budget."""

from recollect.extraction.html.items import Item as Item
from recollect.extraction.html.items import PageData as PageData
from recollect.extraction.html.items import read_page_data as read_page_data
from recollect.extraction.html.parse import Limits as Limits
from recollect.extraction.html.prompt import Page as Page
from recollect.extraction.html.prompt import PagePrompt as PagePrompt
from recollect.extraction.html.prompt import estimate_tokens as estimate_tokens
from recollect.extraction.html.prompt import page_prompt as page_prompt
from recollect.extraction.html.prompt import read_page as read_page
from recollect.extraction.html.prompt import tokenizer_counter as tokenizer_counter
from recollect.extraction.html.settings import PagesSettings as PagesSettings
from recollect.extraction.html.step import PagesFound as PagesFound
from recollect.extraction.html.step import PagesResult as PagesResult
from recollect.extraction.html.step import check_raw_pages as check_raw_pages
from recollect.extraction.html.step import raw_pages as raw_pages
from recollect.extraction.html.step import run_pages as run_pages
