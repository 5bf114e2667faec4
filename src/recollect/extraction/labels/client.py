"""The official client with bounds: a deadline for the whole of a request, a cap on its reply, no redirects.

Notable choices
- The client's own timeout counts from byte to byte, so a server that sends a blank every second holds it for ever. Here
  one clock runs from the first look-up of the address to the last byte of the reply.
- A reply comes uncompressed or not at all: a small packed one may unpack to gigabytes.
- A redirect would send the pages to an address that nobody named, so none is followed.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MOST_BYTES = 4_000_000
"""Of a reply; an answer of 100,000 tokens has about a tenth of that."""


class TooLarge(Exception):
    """A reply above `MOST_BYTES`, or a packed one."""


def bounded_client(endpoint: str, key: str, *, seconds: float, retries: int) -> AsyncOpenAI:
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
                        content = await _read(response)
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
        http_client=Bounded(follow_redirects=False),
    )


def _http_library(client: type) -> Any:
    """The library that the official client speaks with: httpx, or httpx2 since its version 3."""
    ancestor = next(one for one in client.__mro__ if one.__name__ == "AsyncClient")
    return sys.modules[ancestor.__module__.partition(".")[0]]


_OF_TRANSPORT = ("transfer-encoding", "content-length", "content-encoding")


async def _read(response: Any) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise TooLarge("packed")
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > MOST_BYTES:
            raise TooLarge(f"over {MOST_BYTES:,} bytes")
    return bytes(content)
