"""Chat data: conversations, the readers of the shapes they are published in, and a model's own template around them."""

from recollect.chat.read import read_conversations as read_conversations
from recollect.chat.settings import DataSettings as DataSettings
from recollect.chat.step import DataResult as DataResult
from recollect.chat.step import run_data as run_data
from recollect.conversation import Conversation as Conversation
from recollect.conversation import ToolCall as ToolCall
from recollect.conversation import Turn as Turn
