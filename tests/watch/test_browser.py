"""The page in a real browser: it loads, follows the run, and survives what happens to run and server."""

from __future__ import annotations

import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers_browser import CHROMIUM, Tab, browser
from helpers_watch import at_work, model, study
from recollect.watch import write_once
from recollect.watch.server import Door, bind, make_app
from recollect.watch.state import Watcher

pytest.importorskip("starlette")
uvicorn = pytest.importorskip("uvicorn")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
TOKEN = "correct-token"


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[int]:
    """The page's server in a thread; gives its port."""
    sock = bind(port)
    app = make_app(Watcher(folder), Door(TOKEN))
    config = uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_level="critical", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        sock.close()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("browser")) as one:
        yield one


@pytest.fixture
def quiet(tab: Tab) -> Iterator[Tab]:
    """The tab, whose console must stay empty."""
    leave(tab)
    tab.trouble.clear()
    tab.size(1200)
    yield tab
    tab.run("1")  # what is still on its way
    assert tab.trouble == []


def visit(tab: Tab, port: int) -> None:
    tab.open(f"http://127.0.0.1:{port}/?token={TOKEN}")


def leave(tab: Tab) -> None:
    """Before its server ends, which the console would tell of."""
    tab.call("Page.navigate", url="about:blank")
    tab.wait("location.href === 'about:blank'")


def test_it_loads_and_the_token_leaves_the_address(quiet: Tab, tmp_path: Path) -> None:
    with served(study(tmp_path / "study")) as port:
        visit(quiet, port)
        quiet.wait("location.search === ''")  # the cookie is enough from here on
        assert "Nobody is at work in this folder" in quiet.text() and "Where is <b>thing" in quiet.text()
        assert quiet.run("document.querySelectorAll('section svg').length") == 2
        quiet.call("Page.reload")
        quiet.wait("document.readyState === 'complete' && document.querySelector('#curve') !== null")
        leave(quiet)


def test_it_follows_a_run_keeps_what_is_open_and_survives_restarts_and_kills(tab: Tab, tmp_path: Path) -> None:
    tab.trouble.clear()
    folder = study(tmp_path / "study")
    with served(folder) as port:
        with at_work(folder) as process:
            visit(tab, port)
            tab.wait("document.getElementById('state').textContent === 'running'")
            assert "3 of 8 models" in tab.text()
            tab.run("document.querySelector('#finished-steps').open = true")
            tab.run("document.querySelector('#finished-steps summary').focus()")
            assert "random-8-seed2" not in tab.text()
            model(folder.with_name("study.partial") / "steps", "random", 8, 2, 11)
            tab.wait("document.body.innerText.includes('random-8-seed2')")
            assert tab.run("document.querySelector('#finished-steps').open")
            assert tab.run("document.activeElement.tagName") == "SUMMARY"
            assert tab.trouble == []
            process.send_signal(signal.SIGKILL)
            process.wait()
            tab.wait("document.body.innerText.includes('Nobody is at work')")
        assert tab.trouble == []
    tab.wait("document.getElementById('notice').textContent.includes('Trying again')")
    with served(folder, port), at_work(folder):  # both are started anew; the tab was never touched
        tab.wait("document.getElementById('state').textContent === 'running'")
        tab.wait("document.getElementById('notice').hidden")
        leave(tab)
    assert all("ERR_CONNECTION_REFUSED" in one for one in tab.trouble), tab.trouble  # while there was no server


def test_a_run_is_stopped_by_keyboard_after_a_question(quiet: Tab, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with at_work(folder) as process, served(folder) as port:
        visit(quiet, port)
        quiet.wait("document.querySelector('button.stop') !== null")
        quiet.run("document.body.focus()")
        for _ in range(6):
            if quiet.run("document.activeElement.className") == "stop":
                break
            quiet.press("Tab")
        assert quiet.run("document.activeElement.className") == "stop"
        quiet.press("Enter")
        quiet.wait("document.getElementById('ask').open")
        assert quiet.run("document.activeElement.textContent") == "Let it work"
        quiet.press("Escape")
        quiet.wait("!document.getElementById('ask').open")
        assert process.poll() is None
        quiet.press("Enter")
        quiet.wait("document.getElementById('ask').open")
        quiet.press("Tab")
        quiet.press("Enter")
        quiet.wait("document.getElementById('notice').textContent.includes('Asked process')")
        process.wait(20)
        quiet.wait("document.body.innerText.includes('stopped by Ctrl-C')")
        leave(quiet)


def test_an_answer_is_acted_upon_once_though_the_event_of_an_earlier_closing_comes_late(
    quiet: Tab, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    with at_work(folder), served(folder) as port:
        visit(quiet, port)
        quiet.wait("document.querySelector('button.stop') !== null")
        quiet.run(
            "window.posts = 0; window.fetch = (real => (to, how) => how && how.method === 'POST' ? "
            "(window.posts += 1, Promise.resolve(new Response('asked'))) : real(to, how))(window.fetch)"
        )
        quiet.run("document.querySelector('button.stop').click()")
        quiet.run(
            "window.closings = 0; document.getElementById('ask').addEventListener('close', () => window.closings += 1)"
        )
        quiet.run("const ask = document.getElementById('ask'); ask.close('yes'); ask.dispatchEvent(new Event('close'))")
        quiet.wait("document.getElementById('notice').textContent.includes('asked')")
        quiet.wait("window.closings === 2")
        assert quiet.run("window.posts") == 1
        leave(quiet)


def test_a_phone_has_no_sideways_scrolling_and_its_own_charts(quiet: Tab, tmp_path: Path) -> None:
    with served(study(tmp_path / "study", finish=True)) as port:
        quiet.size(375, 740)
        visit(quiet, port)
        quiet.wait("document.querySelector('#curve') !== null")
        assert quiet.run("document.documentElement.scrollWidth") <= 375
        seen = "[...document.querySelectorAll('.plot')].map(one => getComputedStyle(one).display)"
        assert quiet.run(seen) == ["none", "block"]
        small = "[...document.querySelectorAll('a, button, summary')].filter(one => one.getClientRects().length)"
        assert quiet.run(f"{small}.every(one => one.getBoundingClientRect().height >= 20)")
        link = quiet.run("document.querySelector('a.report').href")
        quiet.open(link)
        assert quiet.run("document.title") == "The report"


def test_it_works_behind_a_proxy_that_cuts_its_prefix_off(quiet: Tab, tmp_path: Path) -> None:
    with served(study(tmp_path / "study")) as port, proxied(port, "/user/me/proxy/8750") as outer:
        quiet.open(f"http://localhost:{outer}/user/me/proxy/8750/?token={TOKEN}")
        quiet.wait("location.search === '' && getComputedStyle(document.body).margin === '0px'")
        assert quiet.run("location.pathname") == "/user/me/proxy/8750/"
        model(tmp_path / "study.partial" / "steps", "random", 8, 2, 11)
        quiet.wait("document.body.innerText.includes('random-8-seed2')")
        leave(quiet)


def test_the_static_file_shows_the_same_and_runs_nothing(quiet: Tab, tmp_path: Path) -> None:
    page = write_once(study(tmp_path / "study", finish=True), tmp_path / "page.html")
    quiet.open(page.as_uri())
    assert "random-32-seed0" in quiet.text() and quiet.run("document.scripts.length") == 0
    assert quiet.run("document.querySelector('a.report').getAttribute('href')") == "study/report.html"
    quiet.open(quiet.run("document.querySelector('a.report').href"))
    assert quiet.run("document.title") == "The report"


@contextmanager
def proxied(port: int, prefix: str) -> Iterator[int]:
    """A proxy as notebooks have one: it cuts its prefix off, and hands everything else on."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix(prefix) if self.path.startswith(f"{prefix}/") else "/none"
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=dict(self.headers.items()))
            try:
                answer = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in ("content-length", "connection", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
