"""Many requests to a server, some at a time, each with its reply as the JSON that it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from recollect.core.interrupt import ctrl_c_calls
from recollect.core.json_object import JsonObject
from recollect.core.llm.client import Failed, NoAnswer, Refused, exchange, make_client
from recollect.core.llm.settings import ConnectionSettings
from recollect.errors import InputError

Found = TypeVar("Found")


def post_all(
    settings: ConnectionSettings, path: str, bodies: Sequence[JsonObject], trying: bool = False
) -> list[JsonObject | Refused]:
    """The reply to each of the bodies at `path`, in their order; why, where the server refuses one.

    The first that gets no answer at all, after every further try, ends the others: InputError. `trying`: a server that
    fails at a request (status 500) refuses it, since some do so where they lack what is asked for.
    """
    return run_here(_post_all(settings, path, bodies, trying)) if bodies else []


def read_path(settings: ConnectionSettings, path: str) -> JsonObject:
    """What the server says at `path` to a plain question for it. Raises InputError."""

    async def read() -> JsonObject:
        async with make_client(settings) as client:
            return await exchange(client, settings, path)

    try:
        return run_here(read())
    except NoAnswer as reason:
        raise no_answer(settings, reason) from None


def no_answer(settings: ConnectionSettings, reason: NoAnswer) -> InputError:
    """The error of a server that does not answer."""
    tries = settings.retries + 1
    return InputError(
        f"{settings.endpoint} did not answer a request ({reason}; {tries} {'tries' if tries > 1 else 'try'}). Check "
        "that the server runs. What was finished is kept: the same command again asks for the rest."
    )


async def _post_all(
    settings: ConnectionSettings, path: str, bodies: Sequence[JsonObject], trying: bool
) -> list[JsonObject | Refused]:
    turns = asyncio.Semaphore(settings.concurrency)
    async with make_client(settings) as client:

        async def one(body: JsonObject) -> JsonObject | Refused:
            async with turns:
                try:
                    return await exchange(client, settings, path, body)
                except Refused as reason:
                    return reason
                except Failed as reason:
                    if trying:
                        return Refused(str(reason))
                    raise

        tasks = [asyncio.create_task(one(body)) for body in bodies]
        try:
            return list(await asyncio.gather(*tasks))
        except NoAnswer as reason:
            raise no_answer(settings, reason) from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def run_here(work: Coroutine[object, object, Found]) -> Found:
    """Run to the end; Ctrl-C ends all requests at once. Where an event loop runs already (a notebook), in a thread."""
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Found]]] = []
    stopped = False

    async def run() -> Found:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        running.append((loop, task))
        if stopped:  # before there was anything to end
            task.cancel()
        return await work

    def stop() -> None:
        nonlocal stopped
        stopped = True
        for loop, task in running:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(task.cancel)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with ctrl_c_calls(stop):
            return asyncio.run(run())
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(asyncio.run, run())
        try:
            return found.result()
        except KeyboardInterrupt:  # or the pool would wait for every answer
            stop()
            raise
