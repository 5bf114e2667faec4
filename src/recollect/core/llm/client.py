"""One question to an LLM behind an OpenAI-compatible endpoint, through the official client.

Notable choices
- What a stranger wrote is data: `between_marks` puts it between two marks that hold a hash of it, which it cannot
  contain. Whoever asks tells the model that nothing in between is meant for it; it has no tools.
- The client's own retries are used: a growing pause, and the server's Retry-After where it sends one. Its timeout
  counts from byte to byte, so a server that sends a blank every second holds it for ever. Here one clock runs from the
  first look-up of the address to the last byte of the reply.
- A reply comes uncompressed or not at all: a small packed one may unpack to gigabytes.
- A redirect would send the questions to an address that nobody named, so none is followed.
- An answer that holds the key, as of a server that echoes its requests, is not kept.
- The key comes from the environment and goes to the client alone. Error texts of a server may quote it, so they are
  never passed on: we say the status and nothing more.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from recollect.core.json_object import JsonObject
from recollect.core.llm.settings import CompletionsSettings, ConnectionSettings, ServerSettings
from recollect.errors import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_NO_CLIENT = "asking an LLM needs the openai client. Install it: pip install 'recollect[llm]'."
_TOO_LARGE = "the reply is too large, or packed"
_REFUSALS = (400, 413, 422)
_FAILURES = (500, 501)
_SHORTEST_KEY = 8  # a word such as "none" may well be in an answer
_LOCAL = ("localhost", "127.0.0.1", "::1")
_OF_TRANSPORT = ("transfer-encoding", "content-length", "content-encoding")
_MOST_BYTES = 4_000_000  # of a reply; an answer of 100,000 tokens has about a tenth of that


class NoAnswer(Exception):
    """The server gave no usable reply to one question, after every retry; the text says why, in our words."""


class Refused(NoAnswer):
    """The server will not answer this request however often it is asked: too long, or against its rules."""


class Failed(NoAnswer):
    """The server says that it failed at this request (status 500, 501), after every retry."""


@dataclass(frozen=True)
class Reply:
    """What the model said to one question, and what it cost."""

    text: str
    tokens_in: int
    tokens_out: int


def between_marks(text: str, kind: str) -> str:
    """A text of strangers between two marks that name its kind ("PAGE") and its hash, so that it cannot hold them."""
    mark = f"{kind}-" + hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"<{mark}>\n{text}\n</{mark}>"


def check_server(settings: ConnectionSettings) -> None:
    """Raise InputError for an address, a key or an installation with which nothing can be asked; nothing is sent."""
    _key(settings)
    try:
        import openai  # noqa: F401
    except ImportError:
        raise InputError(_NO_CLIENT) from None


def make_client(settings: ConnectionSettings) -> AsyncOpenAI:
    """The client for the settings' endpoint, to be used in one event loop. Raises InputError for a bad address or a
    missing key."""
    key = _key(settings)
    try:
        return _bounded_client(settings.endpoint, key or "none", seconds=settings.timeout, retries=settings.retries)
    except ImportError:
        raise InputError(_NO_CLIENT) from None


def _key(settings: ConnectionSettings) -> str:
    host = _check_endpoint(settings.endpoint)
    key = os.environ.get(settings.key_variable, "")
    if not key and host not in _LOCAL:
        raise InputError(
            f"no key for {host}: the environment variable {settings.key_variable} is not set. "
            f"Run `export {settings.key_variable}=…`, or name another one with {settings.flags[2]}."
        )
    if not (key.isascii() and key.isprintable()):
        raise InputError(
            f"the key in ${settings.key_variable} holds a line break or a letter that no key has. Set it to "
            "the key alone."
        )
    return key


async def ask(client: AsyncOpenAI, settings: ServerSettings, body: JsonObject) -> Reply:
    """The model's answer to the request `body`. Raises NoAnswer, Refused, or InputError for what would always fail."""
    with _in_our_words(settings, "chat completions"):
        reply = await client.chat.completions.create(**body)
    return _checked(_read(reply), client.api_key)


async def exchange(
    client: AsyncOpenAI, settings: ConnectionSettings, path: str, body: JsonObject | None = None
) -> JsonObject:
    """The server's reply to `body` at `path` ("/completions"), or to a plain question for it; raises as `ask` does."""
    with _in_our_words(settings, "completions"):
        found = await (
            client.get(path, cast_to=object) if body is None else client.post(path, cast_to=object, body=body)
        )
    if not isinstance(found, dict):
        raise NoAnswer("the reply is not one of the completions protocol")
    key = client.api_key
    if len(key) >= _SHORTEST_KEY and key in json.dumps(found, ensure_ascii=False):
        raise NoAnswer("the reply holds the key, and is not kept")
    return found


@contextmanager
def _in_our_words(settings: ConnectionSettings, protocol: str) -> Iterator[None]:
    import openai

    address, model, key = settings.flags
    try:
        yield
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise InputError(
            f"{settings.endpoint} refused the key (status {error.status_code}). Check ${settings.key_variable} ({key})."
        ) from None
    except openai.NotFoundError:
        raise InputError(
            f"{settings.endpoint} has no such model or path (status 404). Check {address} and {model}."
        ) from None
    except openai.APITimeoutError:
        raise NoAnswer(f"no answer within {settings.timeout:g} s") from None
    except openai.APIStatusError as error:
        if error.status_code in _REFUSALS:
            raise Refused(f"the server refused the request (status {error.status_code})") from None
        if 300 <= error.status_code < 400:
            raise InputError(
                f"{settings.endpoint} sends its requests on to another address (status {error.status_code}). Nothing "
                f"goes to an address but the one given: name the final one with {address}."
            ) from None
        raise (Failed if error.status_code in _FAILURES else NoAnswer)(f"status {error.status_code}") from None
    except openai.APIConnectionError as error:
        too_large = isinstance(error.__cause__, TooLarge)
        raise NoAnswer(_TOO_LARGE if too_large else "no connection") from None
    except TooLarge:
        raise NoAnswer(_TOO_LARGE) from None
    except (openai.OpenAIError, ValueError, RecursionError):  # the last: a reply of nothing but brackets
        raise NoAnswer(f"the reply is not one of the {protocol} protocol") from None


def _checked(reply: Reply, key: str) -> Reply:
    """The reply, if it is text that may be kept."""
    try:
        reply.text.encode("utf-8")
    except UnicodeEncodeError:
        raise NoAnswer("the answer is not Unicode text (a half of a surrogate pair)") from None
    if len(key) >= _SHORTEST_KEY and (key in reply.text or key in _unescaped(reply.text)):
        raise NoAnswer("the answer holds the key, and is not kept")
    return reply


def _unescaped(text: str) -> str:
    """The text with the escapes of its JSON read, where it is JSON."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""


def request(
    settings: ServerSettings, messages: Sequence[Mapping[str, str]], name: str, schema: JsonObject
) -> JsonObject:
    """All that decides an answer: the request's body, for an answer that is JSON of the schema. Its hash is the
    answer's place in the cache."""
    body = {
        "model": settings.llm,
        "messages": [dict(message) for message in messages],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": name, "strict": True, "schema": schema},
        },
        "max_completion_tokens": settings.max_answer_tokens,
    }
    return body if settings.temperature == "none" else {**body, "temperature": settings.temperature}


def _read(reply: Any) -> Reply:
    try:
        text = reply.choices[0].message.content or ""
        usage = reply.usage
    except (AttributeError, IndexError, TypeError):
        raise NoAnswer("the reply is not one of the chat completions protocol") from None
    if not isinstance(text, str):
        raise NoAnswer("the reply is not one of the chat completions protocol")
    return Reply(text, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


def _count(usage: Any, name: str) -> int:
    found = getattr(usage, name, 0)
    return found if isinstance(found, int) and found >= 0 else 0


def _check_endpoint(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
        _ = parts.port  # one that is none is told when it is looked at
        host, secret = parts.hostname or "", parts.username or parts.password or parts.query
    except ValueError:
        host, secret = "", None
    if not host or parts.scheme not in ("http", "https") or " " in endpoint or not endpoint.isprintable():
        raise InputError("endpoint must be an http or https address, e.g. http://localhost:8000/v1.")
    if secret:
        raise InputError("endpoint must hold no name, password or query. Put the key into the environment.")
    return host


def usage_cost(settings: ServerSettings | CompletionsSettings, tokens_in: int, tokens_out: int) -> float:
    """The price of so many tokens, in the settings' currency."""
    return ((settings.price_in or 0) * tokens_in + (settings.price_out or 0) * tokens_out) / 1e6


# -- the client, with bounds ---------------------------------------------------------------------------------------


class TooLarge(Exception):
    """A reply above `_MOST_BYTES`, or a packed one."""


def _bounded_client(endpoint: str, key: str, *, seconds: float, retries: int) -> AsyncOpenAI:
    """A client whose every try takes `seconds` at most, from the first byte to the last; it tries again as the official
    one does."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    http = _http_library(DefaultAsyncHttpxClient)

    class Bounded(DefaultAsyncHttpxClient):
        async def send(self, request: Any, **options: Any) -> Any:
            try:
                async with asyncio.timeout(seconds):
                    response = await super().send(request, **{**options, "stream": True})
                    try:
                        content = await _content(response)
                    finally:
                        await response.aclose()
            except TimeoutError:  # in the words that the client knows, so that it tries again
                raise http.ReadTimeout(f"no whole reply within {seconds:g} s", request=request) from None
            headers = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_TRANSPORT]
            return type(response)(response.status_code, headers=headers, content=content, request=request)

    return AsyncOpenAI(
        base_url=endpoint,
        api_key=key,
        timeout=seconds,
        max_retries=retries,
        default_headers={"Accept-Encoding": "identity"},
        http_client=Bounded(follow_redirects=False, verify=_trusting(endpoint)),
    )


def _trusting(endpoint: str) -> ssl.SSLContext | bool:
    """The usual certificates. http needs none, and reading those of the system takes a twentieth of a second."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if endpoint.casefold().startswith("http://") else True


def _http_library(client: type) -> Any:
    """The library that the official client speaks with: httpx, or httpx2 since its version 3."""
    ancestor = next(one for one in client.__mro__ if one.__name__ == "AsyncClient")
    return sys.modules[ancestor.__module__.partition(".")[0]]


async def _content(response: Any) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise TooLarge("packed")
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > _MOST_BYTES:
            raise TooLarge(f"over {_MOST_BYTES:,} bytes")
    return bytes(content)
