"""Settings of whatever asks an LLM behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recollect.core.json_object import JsonObject
from recollect.core.settings import Settings


class ConnectionSettings(Settings):
    """Where a server is, and how patiently it is asked."""

    endpoint: str = ""
    """Address of an OpenAI-compatible server, e.g. http://localhost:8000/v1."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key. Keys are read from nowhere else, and written nowhere."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests to the server at one time."""
    timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that a request may take in all, to the last byte of the reply, before it is tried again."""
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    """Further tries, each after a longer pause, when the server is busy, fails or does not answer."""

    flags: ClassVar[tuple[str, str, str]] = ("--endpoint", "--llm", "--key-variable")
    """What address, model and key are called on the command line, for errors."""


class CompletionsSettings(ConnectionSettings):
    """A model behind an OpenAI-compatible completions endpoint, for the engine completions (docs/engines.md)."""

    flags: ClassVar[tuple[str, str, str]] = (
        "--completions.endpoint",
        "--completions.model",
        "--completions.key-variable",
    )

    model: str = ""
    """Name of the model there; empty: the only one that the server lists."""
    weights: str = ""
    """What the server's weights are, in your words (a revision, a quantised file, a date), where they are not exactly
    those of --model, which then gives the tokenizer alone. Empty: the server's answers are held against --model."""
    price_in: Annotated[float, Field(ge=0)] = 0.0
    """Price of a million prompt tokens, in any currency; 0 for a server of your own."""
    price_out: Annotated[float, Field(ge=0)] = 0.0
    """Price of a million answer tokens, in the same currency."""
    max_cost: Annotated[float, Field(ge=0)] = 1.0
    """Stop when the tokens that the server counts have cost this; what is finished is kept."""


class ServerSettings(ConnectionSettings):
    """Which LLM is asked, at which price, and how patiently."""

    runtime_only: ClassVar[set[str]] = {
        *("endpoint", "key_variable", "price_in", "price_out", "max_cost", "concurrency", "timeout", "retries"),
        *("cache", "ask_again"),
    }

    llm: str = ""
    """Name of the model to ask there."""
    price_in: Annotated[float, Field(ge=0)] | None = None
    """Price of a million prompt tokens, in any currency; 0 for a server of your own."""
    price_out: Annotated[float, Field(ge=0)] | None = None
    """Price of a million answer tokens, in the same currency."""
    max_cost: Annotated[float, Field(ge=0)] = 1.0
    """Refuse to start when the estimate is above this, and stop when it is spent; same currency."""
    max_answer_tokens: Annotated[int, Field(ge=16)] = 400
    """Longest answer of the LLM in tokens."""
    temperature: Annotated[float, Field(ge=0)] | Literal["none"] = 0.0
    """Sampling temperature of the LLM; "none" leaves it to the server, as models that take no other one need."""
    cache: Path = Path("recollect-runs/llm-cache")
    """Folder of the LLM's answers, by content: the same question is never paid twice."""
    ask_again: bool = False
    """Ask again where the kept answer is not the JSON that was asked for; without it such an answer, paid once,
    stays."""

    def fingerprint_section(self) -> JsonObject:
        """Without what decides no answer: address, price, patience."""
        return {name: value for name, value in self.given().items() if name not in ServerSettings.runtime_only}

    def lacking(self, flag: str) -> str:
        """Which settings are missing before anything can be asked, in words; empty where none is.

        flag: how their names begin on the command line, "--" or "--server.".
        """
        if not (self.endpoint and self.llm):
            return f"{flag}endpoint and {flag}llm, the server's address and the model's name"
        if self.price_in is None or self.price_out is None:
            return f"{flag}price-in and {flag}price-out, per million tokens; 0 for a server of your own"
        return ""
