"""The settings of the data step."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from recollect.chat.asking import Prompt
from recollect.chat.render import TrainOn
from recollect.core.settings import Name, PathOrName, Settings
from recollect.core.tables import BadRowsMode
from recollect.prompt import DEFAULT_TEMPLATE, PromptTemplate

ROWS = 10
"""Conversations that are shown, unless another number is asked for."""


class DataSettings(Settings):
    """Which chat data to look at, and the model that is to learn it.

    Examples:
        >>> from recollect import DataSettings
        >>> DataSettings.make(path="chat.jsonl", model="smollm2").max_length
        1024
    """

    runtime_only: ClassVar[set[str]] = {"path", "test", "model", "seed"}  # their content is in the inputs' fingerprint
    later_fields: ClassVar[set[str]] = {"preview"}

    path: Annotated[Name, Field(json_schema_extra={"argument": "DIR|FILE"})]
    """A .jsonl, .json, .csv, .tsv or .parquet file of conversations, or a folder of them: train and test by the files'
    names or a column split."""
    test: PathOrName | None = None
    """Another file or folder, all of it test: which of its questions stand in the training data?"""
    model: PathOrName | None = None
    """The model that will be trained: its tokenizer counts the tokens, its chat template writes the conversations.
    Default: none; then only the texts are looked at."""
    revision: str | None = None
    """Hub revision; with trust_remote_code, the pin of the code (a folder's: the hash the refusal prints)."""
    trust_remote_code: bool = False
    """Let code inside the model's folder run. Needs --revision. Off, and better left off."""
    prompt: Prompt = "auto"
    """chat: by the model's own template. plain: one question and its answer in --prompt-template. auto: as a training
    would, chat for a model that has a template, else plain."""
    train_on: TrainOn = "all"
    """Which of an assistant's turns are learned: all, or the last. Rows that say so themselves are followed."""
    prompt_template: PromptTemplate = DEFAULT_TEMPLATE
    """The plain prompt, with {question} in it; a blank and the answer follow."""
    max_length: Annotated[int, Field(ge=8)] = 1024
    """Longest example in tokens, as the training will have it; which answers are longer?"""
    bad_rows: BadRowsMode = "skip"
    """What becomes of a row that cannot be used: skip (left out and counted) or error (the first one ends the step)."""
    preview: Annotated[int, Field(ge=0, le=1000)] = ROWS
    """How many conversations are shown as the model reads them, evenly spread over the rows; 0: none."""
    seed: int = 0
    """Taken for uniformity; nothing here is drawn."""
