"""The command `watch`."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recollect.cli.options import answer, console_out, note
from recollect.errors import InputError, RecollectError

if TYPE_CHECKING:
    from recollect.watch.state import Watcher

_HELP = "Watch a study, curve, search or fit on a local page, while it runs or after."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("watch", help=_HELP)(_watch)


def _watch(
    where: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a study, curve, search or fit: what was its --out.")
    ],
    port: Annotated[
        int | None,
        typer.Option("--port", help="Port on 127.0.0.1; 0: any free one. Default: the first free from 8750."),
    ] = None,
    opens: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open a browser. Default: where there is a display.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Write the page as one static file, and end.")] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A host name by which a proxy hands the page on; may be given again."),
    ] = None,
    prefix: Annotated[
        str, typer.Option("--prefix", help="What a proxy puts before the page's paths and does not take away.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="File of --once. Default: recollect-watch.html here.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Taken for uniformity; nothing here is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Watch a study, curve, search or fit on a local page, while it runs or after."""
    if once:
        _write(where, out, as_json)
        return
    if out is not None:
        raise InputError("--out is the file of --once; without that the page is served and not written.")
    from recollect.watch.secret import token_of
    from recollect.watch.server import HOST, Door, bind, make_app, serve
    from recollect.watch.state import Watcher
    from recollect.watch.steps import wait_for

    try:
        watcher = Watcher(wait_for(where, note))
    except KeyboardInterrupt:
        note("no run began there")
        return
    token = token_of(watcher.path)
    app = make_app(watcher, Door(token, tuple(name.lower() for name in allow_host or ())), _checked(prefix))
    sock = bind(port)
    bound = sock.getsockname()[1]
    address = f"http://{HOST}:{bound}/?token={token}"
    console_out.print(address, soft_wrap=True)
    _ways(bound, token)
    threading.Thread(target=_look_once, args=(watcher,), daemon=True).start()
    answer({"url": address, "port": bound, "path": str(watcher.path)}, as_json)
    if opens if opens is not None else _has_display():
        with suppress(webbrowser.Error):
            webbrowser.open(address)
    try:
        serve(app, sock)
    except KeyboardInterrupt:
        note("the page is closed; what it showed is another process, and goes on")


def _look_once(watcher: Watcher) -> None:
    """What the first page needs is loaded before somebody asks for it."""
    from recollect.watch.view import page

    with suppress(RecollectError, OSError):
        page(watcher.look())


def _write(where: Path, out: Path | None, as_json: bool) -> None:
    from recollect.watch import write_once

    page = write_once(where, out or Path("recollect-watch.html"))
    if not as_json:
        console_out.print(str(page), soft_wrap=True)
    answer({"page": str(page)}, as_json)


def _checked(prefix: str) -> str:
    if prefix and not prefix.startswith("/"):
        raise InputError(f"--prefix must begin with a slash, such as /user/me/proxy/absolute/8750, but got {prefix!r}.")
    return prefix


def _ways(port: int, token: str) -> None:
    """How to see the page from another machine, where this one is one."""
    if hub := os.environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        note(f"in a notebook server with jupyter-server-proxy: {hub.rstrip('/')}/proxy/{port}/?token={token}")
        note("  with --allow-host and the name in your browser's address, where the proxy hands that on")
    if os.environ.get("SSH_CONNECTION") or not _has_display():
        with suppress(OSError, KeyError):
            user = getpass.getuser()
            note(
                f"from your own machine: ssh -L {port}:127.0.0.1:{port} {user}@{socket.gethostname()}, then the address"
            )
    note("Ctrl-C closes the page alone; it stops nothing else")


def _has_display() -> bool:
    """Whether a browser that is opened here would be seen."""
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
