"""Settings of the pages step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from recollect.core.settings import PathOrName, Settings
from recollect.extraction.html.parse import DEFAULT_LIMITS, Limits
from recollect.extraction.html.prompt import DEFAULT_BUDGET


class PagesSettings(Settings):
    """Turn raw HTML pages into compact prompts, split them by shop, and count how often the true values survive.

    Examples:
        >>> from recollect import PagesSettings
        >>> PagesSettings.make(path="html", budget=(512, 4096)).budget
        (512, 4096)
    """

    runtime_only: ClassVar[set[str]] = {"path", "truth", "tokenizer", "attributes"}  # their content is in the inputs

    path: Path
    """A folder of pages (.html, .htm, also .gz), one page, a WARC archive, or a table with the columns url and path
    (files already downloaded, below the table's folder). Nothing is fetched."""
    truth: Path | None = None
    """JSON file of true values, {page id: {attribute: [values], "url": address}}: counts how often they survive into
    the prompt."""
    budget: tuple[Annotated[int, Field(ge=16, le=1_000_000)], ...] = (DEFAULT_BUDGET,)
    """Most tokens of a prompt. Several, as 1024,4096, are compared by --truth; the prompts kept are of the largest."""
    tokenizer: Path | None = None
    """Model folder (or tokenizer.json) whose tokens count. Default: an estimate, mostly
    within a third of what large models count."""
    attributes: PathOrName = "product"
    """Attributes looked up in the truth: "product" (eight of them), or a YAML file with a schema."""
    json_ld: bool = True
    """Keep the product data of schema.org scripts, in short lines."""
    ood_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the shops (hosts) kept for the part "ood": shops never seen in training."""
    test_share: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Share of the other shops' pages kept for the part "test"."""
    max_bytes: Annotated[int, Field(ge=1_000)] = DEFAULT_LIMITS.bytes
    """Pages with more bytes, unpacked, are refused."""
    max_nodes: Annotated[int, Field(ge=10)] = DEFAULT_LIMITS.nodes
    """Elements read of a page; what follows is left out, with a note."""
    max_seconds: Annotated[float, Field(gt=0)] = DEFAULT_LIMITS.seconds
    """Processor time to read a page; a page that needs more is refused."""
    seed: int = 0
    """Decides which shops and pages go to which part."""

    @field_validator("budget", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        """A text with commas, or one number, is as good as a list."""
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return [value] if isinstance(value, int) else value

    @field_validator("budget")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value:
            raise ValueError("give at least one budget")
        return tuple(sorted(set(value)))

    @property
    def limits(self) -> Limits:
        """The caps of one page."""
        return Limits(bytes=self.max_bytes, nodes=self.max_nodes, seconds=self.max_seconds)
