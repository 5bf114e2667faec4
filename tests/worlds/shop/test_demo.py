"""`recollect demo --task attributes`, `pocket shop` and `report` on the command line, on tiny models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers_tiny import tiny_model
from helpers_world import EVALUATE, TRAIN, Command, flags
from recollect.facts import Fact, FactSet


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def pages(folder: Path) -> Path:
    """Ten short pages of two shops, and two of a new one."""
    facts = [
        Fact(
            f"shop{n % 2}", f"page{n}", json.dumps({"brand": f"B{n}", "price": f"{n}.50"}), f"Maker: B{n}\n{n}.50 EUR",
            split="train" if n < 6 else "test",
        )
        for n in range(10)
    ]  # fmt: skip
    facts += [
        Fact("shop9", f"new{n}", '{"brand":"Nova"}', "Maker: Nova", domain="out-of-domain", split="test")
        for n in (0, 1)
    ]
    FactSet(tuple(facts), "pages").table().write_parquet(folder / "pages.parquet")
    return folder / "pages.parquet"


def order(folder: Path) -> list[str]:
    given = {"task": "attributes", "model": tiny_model(folder / "model"), "facts": pages(folder), "sizes": "2,4"}
    sections = {"repeats": 1, "train": json.dumps(TRAIN), "evaluate": json.dumps(EVALUATE)}
    return ["demo", *flags({**given, **sections})]


def test_the_attributes_demo_ends_in_tables_a_verdict_and_a_report(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    told = command(*order(tmp_path), "--out", out)
    assert told.code == 0, told.err
    for part in ("In-domain: known shops", "Out-of-domain: new shops"):
        assert f"{part}: right values in %, by number" in told.out
    for text in ("untouched base", "most frequent", "brand", "macro", "no JSON"):
        assert text in told.out
    assert any(word in told.out for word in ("Undecided", "Saturated", "Rising", "Peaked"))
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "What is read from pages" in html and "How much data is enough" in html and "Maker: " in html


def test_its_json_is_that_of_the_curve(command: Command, tmp_path: Path) -> None:
    found = command(*order(tmp_path), "--out", tmp_path / "demo", "--json").json
    assert found["sizes"] == [0, 2, 4]
    assert {"verdict", "n_sat", "low", "high", "scores", "next", "ood"} <= found.keys()
    results = json.loads((tmp_path / "demo" / "results.json").read_text())["chapters"]["attributes"]
    assert [system["kind"] for system in results["systems"]] == ["baseline", "base", "tuned", "tuned"]
    scores = [100 * system["test"][0]["macro"]["value"] for system in results["systems"][1:]]
    assert scores == pytest.approx(found["scores"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--title", "x"], "title does not go with task attributes"),
        (["--sizes", "60"], "at least three different ones"),
        (["--task", "recipes"], "recipes"),
    ],
)
def test_what_the_demo_cannot_do_is_refused(command: Command, tmp_path: Path, more: list[str], message: str) -> None:
    answer = command("demo", "--task", "attributes", *more, "--out", tmp_path / "demo")
    assert answer.code == 2
    assert message in answer.err
    assert not list(tmp_path.iterdir())


def test_evaluations_of_pages_become_a_report(command: Command, tmp_path: Path) -> None:
    given = {"model": tiny_model(tmp_path / "model"), "facts": pages(tmp_path), "max_new_tokens": 4}
    assert command("evaluate", *flags(given), "--out", tmp_path / "before").code == 0
    answer = command("report", tmp_path / "before", "--out", tmp_path / "page", "--json")
    page = Path(answer.json["report"])
    html = page.read_text(encoding="utf-8")
    assert page.parent == tmp_path / "page" and "What is read from pages" in html and "before" in html


def test_pocket_shop_builds_tells_and_finds_itself_done(command: Command, tmp_path: Path) -> None:
    tiny = {"vocabulary": 300, "width": 64, "layers": 2, "documents": 100, "batch_size": 20, "summaries": 1}
    told = command("pocket", "shop", *flags(tiny), "--out", tmp_path / "shop")
    assert told.code == 0 and "pocket shop base" in told.out and "parameters" in told.out
    found = command("pocket", "shop", *flags(tiny), "--out", tmp_path / "shop", "--json").json
    assert (found["documents"], found["steps"], found["train"], found["ood"]) == (100, 5, 1200, 240)
    assert command("pocket", "shop", *flags({**tiny, "seed": 1}), "--out", tmp_path / "shop").code == 3
    too_few = command("pocket", "shop", "--documents", 100, "--batch-size", 200, "--out", tmp_path / "none")
    assert too_few.code == 2 and "at least batch_size" in too_few.err
    assert "copying" in command("pocket", "shop", "--help").out
