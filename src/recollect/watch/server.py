"""The page's server: a few short answers, each read from the folder when it is asked for.

Notable choices
- Bound to this machine alone. Whoever asks must know the token: in the address at the first visit, then in a cookie.
- The Host header must name this machine, or a host that was allowed: so no page elsewhere reaches it by a name of its
  own that points here (DNS rebinding).
- Nothing but the page's own script and style may load, and nothing from outside. The one thing that can be done, to
  stop a run, needs a header that other sites cannot send.
- Addresses in the page are relative, so it works behind `ssh -L` and the proxies of notebooks, whatever they cut off.
- An unchanged folder is answered with 304, by the sizes and times of its small files.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from recollect.core.extras import need
from recollect.errors import InputError, RecollectError
from recollect.report.page.render import style
from recollect.watch import view
from recollect.watch.process import end_search, stop
from recollect.watch.secret import cookie_of, same_token
from recollect.watch.state import Watcher

HOST, FIRST_PORT, PORTS_TRIED = "127.0.0.1", 8750, 20
_EXTRA = "watch"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'self'"
_LOCAL = ("127.0.0.1", "localhost", "::1")
Answer = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True)
class Door:
    """Who may come in."""

    token: str
    hosts: tuple[str, ...] = ()
    """Hosts beyond this machine's own names, of a proxy that hands its own on."""

    def refuses(self, request: Any) -> str:
        """Why a request is refused; "" where it is not."""
        host = host_of(request.headers.get("host", ""))
        if host not in (*_LOCAL, *self.hosts):
            return (
                f"The host {host[:100]!r} is not this machine. Open the page by 127.0.0.1 or localhost; behind a proxy "
                "that hands its own name on, start it with --allow-host NAME."
            )
        given = (
            request.query_params.get("token"),
            request.headers.get("x-recollect-token"),
            request.cookies.get(cookie_of(self.token)),
        )
        if not any(one is not None and same_token(one, self.token) for one in given):
            return "The token is missing or is not this page's. Open the address that recollect watch printed."
        return ""


def host_of(header: str) -> str:
    """The host of a Host header, without its port: "[::1]:8750" to "::1"."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.rpartition(":")[0].lower() if ":" in header else header.lower()


def make_app(watcher: Watcher, door: Door, prefix: str = "") -> Any:
    """The application. prefix: what a proxy puts before its paths and does not take away."""
    application = need("starlette.applications", _EXTRA, "recollect watch")
    routing = need("starlette.routing", _EXTRA, "recollect watch")
    answers = _Answers(watcher, door)
    routes = [
        routing.Route(f"{before}{path}", answer, methods=[method])
        for before in dict.fromkeys(("", prefix.rstrip("/")))
        for path, answer, method in answers.routes()
    ]
    return application.Starlette(routes=routes)


class _Answers:
    """What is answered, and how."""

    def __init__(self, watcher: Watcher, door: Door) -> None:
        self._watcher, self._door = watcher, door
        self._responses = need("starlette.responses", _EXTRA, "recollect watch")
        self._pool = need("starlette.concurrency", _EXTRA, "recollect watch")

    def routes(self) -> list[tuple[str, Answer, str]]:
        """Path, answer and method."""
        return [
            ("/", self._checked(self.page), "GET"),
            ("/style.css", self._checked(self.style), "GET"),
            ("/watch.js", self._checked(self.script), "GET"),
            ("/report", self._checked(self.report), "GET"),
            ("/stop", self._checked(self.stop), "POST"),
        ]

    def _checked(self, answer: Answer) -> Answer:
        async def checked(request: Any) -> Any:
            if why := self._door.refuses(request):
                found = self._text(why, 403)
            else:
                try:
                    found = await answer(request)
                except RecollectError as error:
                    found = self._text(str(error), 503)
            for name, value in _HEADERS.items():
                found.headers.setdefault(name, value)
            return found

        return checked

    async def page(self, request: Any) -> Any:
        """The page as it is now; 304 where it is as the asker knows it."""
        tag = f'"{await self._pool.run_in_threadpool(self._watcher.mark)}"'
        if tag in request.headers.get("if-none-match", ""):
            return self._responses.Response(status_code=304, headers={"ETag": tag})
        text = await self._pool.run_in_threadpool(lambda: view.page(self._watcher.look()))
        found = self._responses.HTMLResponse(text, headers={"ETag": tag})
        if request.query_params.get("token"):
            secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
            # without a path: the browser's own idea of where it is, which holds behind any prefix
            name, more = cookie_of(self._door.token), {"httponly": True, "samesite": "strict", "secure": secure}
            found.set_cookie(name, self._door.token, path=None, **more)
        return found

    async def style(self, request: Any) -> Any:
        """The report's style sheet and the page's own."""
        return self._responses.Response(f"{style()}{view.own_style()}", media_type="text/css")

    async def script(self, request: Any) -> Any:
        """The page's script."""
        return self._responses.Response(view.script(), media_type="text/javascript")

    async def report(self, request: Any) -> Any:
        """The experiment's own report, where it is finished."""
        file = (await self._pool.run_in_threadpool(self._watcher.look)).report
        if file is None:
            return self._text("There is no report yet: it is written when the experiment is finished.", 404)
        return self._responses.FileResponse(file, headers={"Content-Security-Policy": _REPORT_POLICY})

    async def stop(self, request: Any) -> Any:
        """Ask the process that the page showed to stop."""
        if request.headers.get("x-recollect-watch") != "stop" or _is_foreign(request):
            return self._text("Only the page itself may ask this.", 403)
        try:
            asked = await request.json()
            pid, gently = int(asked["pid"]), asked.get("how") == "end the search"
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._text('The request must name the process: {"pid": 123}.', 400)
        path, kind = self._watcher.path, (await self._pool.run_in_threadpool(self._watcher.look)).kind
        act = partial(end_search, path) if gently and kind == "fit" else partial(stop, path, pid)
        try:
            return self._text(await self._pool.run_in_threadpool(act), 200)
        except InputError as error:
            return self._text(str(error), 409)

    def _text(self, text: str, status: int) -> Any:
        return self._responses.PlainTextResponse(f"{text}\n", status_code=status)


_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _is_foreign(request: Any) -> bool:
    """Whether a browser says that another site asks."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def bind(port: int | None) -> socket.socket:
    """A socket on this machine's own address: on `port` (0: any), or the first free one from FIRST_PORT on.

    Raises InputError where the port is taken, or may not be used.
    """
    wanted: Sequence[int] = [port] if port is not None else range(FIRST_PORT, FIRST_PORT + PORTS_TRIED)
    for one in wanted:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((HOST, one))
            made.listen(64)
            return made
        except OSError as error:
            made.close()
            reason = (error.strerror or str(error)).lower()
        except OverflowError:
            made.close()
            reason = "it must lie between 0 and 65535"
    which = f"port {port}" if port is not None else f"no port from {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1}"
    raise InputError(f"{which} cannot be used: {reason}. Give --port another one, or 0 for any that is free.")


def serve(app: Any, sock: socket.socket) -> None:
    """Answer until Ctrl-C."""
    uvicorn = need("uvicorn", _EXTRA, "recollect watch")
    quiet = {"log_level": "critical", "access_log": False, "server_header": False}
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", timeout_graceful_shutdown=1, **quiet)
    uvicorn.Server(config).run(sockets=[sock])
