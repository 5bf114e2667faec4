"""The 108 real pages: what survives into 4,096 tokens, in what time; absent data skips."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from recollect.extraction.html import PagesSettings, run_pages

DATA = Path(__file__).parents[3].parent / "shared/data/product_pages"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real product pages are not on this machine")
def test_the_prompt_keeps_95_percent_of_what_the_raw_html_holds(tmp_path):
    settings = PagesSettings.make(path=DATA / "html", truth=DATA / "ground-truth.json")
    result = run_pages(settings, tmp_path / "out")
    assert result.found.pages == 108 and result.found.errors == 0
    recall = result.found.recall
    for attribute in ("price", "brand", "sku", "availability"):
        assert recall[attribute]["4096"].value >= 0.95 * recall[attribute]["raw"].value, attribute
    assert result.table()["tokens"].max() <= 4096
    truth = json.loads((DATA / "ground-truth.json").read_text())
    hosts = defaultdict(set)
    for page_id, host, part in result.table().select("page_id", "host", "part").iter_rows():
        assert host in truth[page_id]["url"]
        hosts[host].add(part)
    assert all(parts == {"ood"} or "ood" not in parts for parts in hosts.values())
