"""Settings of the label step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from recollect.core.settings import PathOrName, Settings
from recollect.core.tables import BadRowsMode

Source = Literal["schema.org", "table", "llm"]


class LabelSettings(Settings):
    """Where the attribute values of pages come from, and how pages become examples for select, train and evaluate.

    Examples:
        >>> from recollect import LabelSettings
        >>> LabelSettings.make(pages="pages", source="schema.org").source
        'schema.org'
    """

    runtime_only: ClassVar[set[str]] = {
        *("pages", "html", "table", "endpoint", "key_variable", "price_in", "price_out", "max_cost", "estimate"),
        *("concurrency", "timeout", "retries", "cache", "ask_again"),
    }

    pages: Path
    """A pages step directory."""
    source: Annotated[Source, Field(json_schema_extra={"flag": "--from"})]
    """Where the labels come from: schema.org (the data in the pages themselves), table (a file of yours), or llm."""
    attributes: PathOrName = "product"
    """The attributes wanted: "product" (eight of them), or a YAML file with a schema."""
    table: Path | None = None
    """For --from table: a .json, .csv, .tsv, .jsonl or .parquet file of values by page id."""
    bad_rows: BadRowsMode = "error"
    """For --from table: what becomes of a row that cannot be used: error (the first one ends the step) or skip."""
    html: Path | None = None
    """For --from schema.org: folder of the raw pages, named by page id. By default where the pages step read them."""
    samples_per_page: Annotated[int, Field(ge=1, le=50)] = 1
    """Examples made of a page: 1 asks for every attribute; 2 deals them into two halves, each asked for apart."""
    train_only_seen: bool = True
    """Leave values out of the training answers that do not occur in the prompt: they would teach to invent."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Label at most this many pages of each part, drawn by the seed. Default: all."""
    seed: int = 0
    """Decides which pages a limit takes, and how attributes are dealt to samples."""
    endpoint: str = ""
    """For --from llm: address of an OpenAI-compatible server, e.g. http://localhost:8000/v1."""
    llm: str = ""
    """For --from llm: name of the model to ask."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key. Keys are read from nowhere else, and written nowhere."""
    price_in: Annotated[float, Field(ge=0)] | None = None
    """Price of a million prompt tokens, in any currency; 0 for a server of your own."""
    price_out: Annotated[float, Field(ge=0)] | None = None
    """Price of a million answer tokens, in the same currency."""
    max_cost: Annotated[float, Field(ge=0)] = 1.0
    """Refuse to start when the estimate is above this, and stop when it is spent; same currency."""
    estimate: bool = False
    """Print the cost estimate and stop: nothing is asked, nothing is written."""
    max_answer_tokens: Annotated[int, Field(ge=16)] = 400
    """Longest answer of the LLM in tokens."""
    temperature: Annotated[float, Field(ge=0)] | Literal["none"] = 0.0
    """Sampling temperature of the LLM; "none" leaves it to the server, as models that take no other one need."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests to the LLM at one time."""
    timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that a request may take in all, to the last byte of the reply, before it is tried again."""
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    """Further tries, each after a longer pause, when the server is busy, fails or does not answer."""
    cache: Path = Path("recollect-runs/label-cache")
    """Folder of the LLM's answers, by content: the same question is never paid twice."""
    ask_again: bool = False
    """Ask again for the pages whose kept answer is not a JSON object; without it such an answer, paid once, stays."""

    @model_validator(mode="after")
    def _fits_the_source(self) -> Self:
        if (self.source == "table") != (self.table is not None):
            raise ValueError("give --table FILE with --from table, and only then")
        if self.source == "llm" and not (self.endpoint and self.llm):
            raise ValueError("--from llm needs --endpoint and --llm, the server's address and the model's name")
        if self.source == "llm" and (self.price_in is None or self.price_out is None):
            raise ValueError(
                "--from llm needs --price-in and --price-out, per million tokens; 0 for a server of your own"
            )
        return self
