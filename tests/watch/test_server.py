"""The page's server: who may come in, what is answered, and that a folder is read and never touched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers_watch import at_work, search, study
from recollect.errors import InputError
from recollect.watch.secret import cookie_of
from recollect.watch.server import FIRST_PORT, Door, bind, host_of, make_app
from recollect.watch.state import Watcher

pytest.importorskip("starlette")
TOKEN = "correct-token"


def client(folder: Path, door: Door | None = None, prefix: str = "", host: str = "127.0.0.1:8750") -> Any:
    from starlette.testclient import TestClient

    app = make_app(Watcher(folder), door or Door(TOKEN), prefix)
    return TestClient(app, base_url=f"http://{host}", follow_redirects=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("watched") / "study")


@pytest.fixture
def come_in(folder: Path) -> Iterator[Any]:
    with client(folder) as one:
        assert one.get(f"/?token={TOKEN}").status_code == 200
        yield one


def test_without_the_token_nothing_is_told(folder: Path) -> None:
    with client(folder) as stranger:
        for path in ("/", "/style.css", "/watch.js", "/report", "/?token=wrong", "/?token=correct-tokem"):
            answer = stranger.get(path)
            assert answer.status_code == 403 and "study" not in answer.text.lower(), path
        assert stranger.post("/stop", json={"pid": 1}, headers={"X-Recollect-Watch": "stop"}).status_code == 403
        assert not stranger.cookies


def test_the_first_visit_leaves_a_cookie_that_scripts_and_other_sites_do_not_get(folder: Path) -> None:
    with client(folder) as one:
        first = one.get(f"/?token={TOKEN}")
        cookie = first.headers["set-cookie"]
        assert cookie.startswith(cookie_of(TOKEN)) and "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
        assert "path" not in cookie.lower()  # the browser's own idea of where it is, so that prefixes hold
        assert "secure" not in cookie.lower()
        assert one.get("/").status_code == 200 and "set-cookie" not in one.get("/").headers
        secure = one.get(f"/?token={TOKEN}", headers={"X-Forwarded-Proto": "https"})
        assert "secure" in secure.headers["set-cookie"].lower()


def test_the_token_may_come_in_a_header_where_cookies_are_blocked(folder: Path) -> None:
    with client(folder) as one:
        assert one.get("/", headers={"X-Recollect-Token": TOKEN}).status_code == 200
        assert one.get("/", headers={"X-Recollect-Token": "other"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8750", "127.0.0.1.evil.example", "169.254.169.254"])
def test_a_name_of_another_site_that_points_here_gets_nothing(folder: Path, host: str) -> None:
    with client(folder, host=host) as rebound:
        answer = rebound.get(f"/?token={TOKEN}")
        assert answer.status_code == 403 and "--allow-host" in answer.text and "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1:9999", "localhost:4000", "localhost", "[::1]:80"])
def test_a_tunnel_may_end_at_any_port_of_the_users_machine(folder: Path, host: str) -> None:
    with client(folder) as one:
        assert one.get(f"/?token={TOKEN}", headers={"Host": host}).status_code == 200


def test_a_proxy_that_hands_its_own_name_on_can_be_allowed(folder: Path) -> None:
    with client(folder, Door(TOKEN, ("hub.example.org",)), host="Hub.Example.org") as one:
        assert one.get(f"/?token={TOKEN}").status_code == 200
    assert host_of("hub.example.org") == "hub.example.org" and host_of("[::1]") == "::1"


def test_the_policy_lets_nothing_in_from_outside_and_no_inline_script(come_in: Any) -> None:
    answer = come_in.get("/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'" and policy["style-src"] == "'self'"
    assert "unsafe-eval" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["x-content-type-options"] == "nosniff"
    assert re.findall(r"<script[^>]*>([^<]*)", answer.text) == [""]  # the one script is a file
    assert not re.search(r"<[^>]+\son[a-z]+=|javascript:", answer.text)
    assert not re.findall(r"""(?:src|href)=["'](?:https?:|//|/)""", answer.text)  # relative, so any prefix does
    for path, kind in (("/style.css", "text/css"), ("/watch.js", "text/javascript")):
        found = come_in.get(path)
        assert found.headers["content-type"].startswith(kind) and "http" not in found.text.replace("xmlns=", "")


def test_what_models_say_is_text_and_no_markup(come_in: Any) -> None:
    page = come_in.get("/").text
    assert "Where is &lt;b&gt;thing" in page and "<b>thing" not in page


def test_an_unchanged_folder_is_answered_with_304_and_a_changed_one_anew(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    with client(folder) as one:
        first = one.get(f"/?token={TOKEN}")
        tag = {"If-None-Match": first.headers["etag"]}
        again = one.get("/", headers=tag)
        assert again.status_code == 304 and not again.content and again.headers["etag"] == first.headers["etag"]
        told = folder.with_name("study.partial") / "steps" / "under-way" / "random-32-seed1.json"
        told.write_text(told.read_text(encoding="utf-8").replace('"done": 3', '"done": 11'), encoding="utf-8")
        changed = one.get("/", headers=tag)
        assert changed.status_code == 200 and "11/12" in changed.text
        assert one.get("/", headers={"If-None-Match": changed.headers["etag"]}).status_code == 304


def test_a_prefix_that_a_proxy_leaves_in_place_is_taken(folder: Path) -> None:
    with client(folder, prefix="/user/me/proxy/absolute/8750/") as one:
        base = "/user/me/proxy/absolute/8750"
        page = one.get(f"{base}/?token={TOKEN}")
        assert page.status_code == 200
        for name in re.findall(r'(?:src|href)="([a-z.]+)"', page.text):
            assert one.get(f"{base}/{name}").status_code == 200, name
        assert one.get("/elsewhere/").status_code == 404


def test_reading_disturbs_nobody(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    partial = folder.with_name("study.partial")

    def state() -> list[tuple[str, int, int]]:
        files = sorted(partial.rglob("*"))
        return [(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files]

    before = state()
    with client(folder) as one:
        assert one.get(f"/?token={TOKEN}").status_code == 200
    assert state() == before and sorted(path.name for path in tmp_path.iterdir()) == ["study.partial"]


def test_a_killed_run_says_so_and_shows_what_it_was_at(come_in: Any) -> None:
    page = come_in.get("/").text
    assert "Nobody is at work in this folder" in page and "the same command resumes" in page
    assert "was at training 3/12" in page and "What was at work" in page
    assert 'class="stop"' not in page


def test_a_finished_study_links_its_report_and_serves_it_without_scripts(tmp_path: Path) -> None:
    with client(study(tmp_path / "study", finish=True)) as one:
        page = one.get(f"/?token={TOKEN}").text
        assert 'href="report"' in page and "The curve so far" not in page and "1:01" in page
        report = one.get("/report")
        assert report.status_code == 200 and "The report" in report.text
        assert "script-src" not in report.headers["content-security-policy"]
        assert "default-src 'none'" in report.headers["content-security-policy"]


def test_an_unfinished_one_has_no_report(come_in: Any) -> None:
    assert 'href="report"' not in come_in.get("/").text and come_in.get("/report").status_code == 404


def test_the_trials_of_a_search_are_shown_with_what_became_of_them(tmp_path: Path) -> None:
    with client(search(tmp_path / "search")) as one:
        page = one.get(f"/?token={TOKEN}").text
    rows = re.findall(r"<tr><td class=\"name\">(\d+)</td>.*?</tr>", page, re.DOTALL)
    assert rows == ["000", "001", "002"]
    assert "broken: loss became NaN at update 3" in page and ">paused<" in page and "learning_rate 0.002" in page
    assert "trial 000" in page and "Validation score of each trial" in page


def test_a_folder_that_goes_while_it_is_watched_is_an_answer_and_no_crash(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    with client(folder) as one:
        one.get(f"/?token={TOKEN}")
        folder.with_name("study.partial").rename(tmp_path / "moved")
        answer = one.get("/")
        assert answer.status_code == 503 and "is gone" in answer.text
        (tmp_path / "moved").rename(folder.with_name("study.partial"))
        assert one.get("/").status_code == 200


def test_a_study_at_work_is_stopped_by_the_page_alone(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with at_work(folder) as process, client(folder) as one:
        page = one.get(f"/?token={TOKEN}").text
        assert f'data-pid="{process.pid}"' in page and "3 of 8 models" in page and "about 0:20 left" in page
        ask = {"json": {"pid": process.pid}}
        assert one.post("/stop", **ask).status_code == 403
        foreign = {"X-Recollect-Watch": "stop", "Sec-Fetch-Site": "cross-site"}
        assert one.post("/stop", **ask, headers=foreign).status_code == 403
        own = {"X-Recollect-Watch": "stop", "Sec-Fetch-Site": "same-origin"}
        assert one.post("/stop", json={"pid": 1}, headers=own).status_code == 409
        assert one.post("/stop", json={}, headers=own).status_code == 400
        assert one.get("/stop").status_code == 405
        assert process.poll() is None
        answer = one.post("/stop", **ask, headers=own)
        assert answer.status_code == 200 and "Asked process" in answer.text
        assert process.wait(20) != 0
        after = one.get("/").text
        assert "Nobody is at work" in after and "stopped by Ctrl-C" in after
        assert one.post("/stop", **ask, headers=own).status_code == 409


def test_a_fit_can_be_asked_to_end_its_search_alone(tmp_path: Path) -> None:
    own = {"X-Recollect-Watch": "stop"}
    with at_work(tmp_path / "fit", "fit") as process, client(tmp_path / "fit") as one:
        assert "End the search, test the best" in one.get(f"/?token={TOKEN}").text
        ask = {"pid": process.pid, "how": "end the search"}
        assert one.post("/stop", json=ask, headers=own).status_code == 200
        assert (tmp_path / "fit.partial" / "stop").is_file() and process.poll() is None
        assert one.post("/stop", json=ask, headers=own).status_code == 200  # asked twice is asked once
        process.kill()
        process.wait()
        (tmp_path / "fit.partial" / "stop").unlink()
        assert one.post("/stop", json=ask, headers=own).status_code == 409
        assert not (tmp_path / "fit.partial" / "stop").exists()


def test_a_port_that_is_taken_is_one_line_and_without_one_the_next_is_tried() -> None:
    with bind(0) as first:
        taken = first.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {taken} cannot be used: .*in use.*--port another"):
            bind(taken)
    with bind(None) as one, bind(None) as other:
        ports = one.getsockname()[1], other.getsockname()[1]
        assert ports[0] != ports[1] and min(ports) >= FIRST_PORT
    with pytest.raises(InputError, match="between 0 and 65535"):
        bind(70_000)
