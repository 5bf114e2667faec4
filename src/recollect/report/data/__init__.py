"""The page of a data step: what is in chat data, and what a model will read and learn of it."""

from recollect.report.data.page import write_data_page as write_data_page
