"""The table in docs/models.md is the list that the tests run over."""

from pathlib import Path

from helpers_families import FAMILIES, table

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_table_is_made_from_the_list() -> None:
    assert table() in PAGE.read_text(), f"replace the table in docs/models.md by:\n{table()}"


def test_every_family_is_named_once() -> None:
    assert len({family.name for family in FAMILIES}) == len({family.kind for family in FAMILIES}) == len(FAMILIES)
