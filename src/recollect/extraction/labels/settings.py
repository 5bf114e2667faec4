"""Settings of the label step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from recollect.core.llm import ServerSettings
from recollect.core.settings import PathOrName, Settings
from recollect.core.tables import BadRowsMode

Source = Literal["schema.org", "table", "llm"]


class _OfPages(Settings):
    """Which pages, and where their values come from: the first fields of `LabelSettings`."""

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


class LabelSettings(ServerSettings, _OfPages):
    """Where the attribute values of pages come from, and how pages become examples for select, train and evaluate.

    Examples:
        >>> from recollect import LabelSettings
        >>> LabelSettings.make(pages="pages", source="schema.org").source
        'schema.org'
    """

    runtime_only: ClassVar[set[str]] = {*ServerSettings.runtime_only, "pages", "html", "table", "estimate"}

    cache: Path = Path("recollect-runs/label-cache")
    """Folder of the LLM's answers, by content: the same question is never paid twice."""
    estimate: bool = False
    """For --from llm: print the cost estimate and stop: nothing is asked, nothing is written."""

    @model_validator(mode="after")
    def _fits_the_source(self) -> Self:
        if (self.source == "table") != (self.table is not None):
            raise ValueError("give --table FILE with --from table, and only then")
        if self.source == "llm" and (missing := self.lacking("--")):
            raise ValueError(f"--from llm needs {missing}")
        return self
