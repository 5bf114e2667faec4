"""Character sets: declared, told from the letters, or refused; never mojibake without a word."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recollect.errors import InputError
from recollect.extraction.html import PagesSettings, page_prompt, run_pages
from recollect.extraction.html.recall import RAW
from recollect.extraction.values import read_schema

TEXTS = {
    "cp1251": "Стул дубовый. Цена 8 900 руб. В наличии, доставка по всей стране",
    "koi8-r": "Стул дубовый. Цена 8 900 руб. В наличии, доставка по всей стране",
    "cp1250": "Krzesło dębowe, cena 89,00 zł, dostępne w magazynie, wysyłka jutro",
    "cp1253": "Καρέκλα από δρυ, τιμή 89,00 €, άμεσα διαθέσιμη σε απόθεμα",
    "cp1256": "كرسي من خشب البلوط السعر 89 متوفر أضف إلى السلة",
    "shift_jis": "オーク材の椅子 価格 8,900円 在庫あり カートに入れる",
    "euc_kr": "참나무 의자 가격 89,000원 재고 있음 장바구니에 담기",
    "gb18030": "橡木椅子 价格 89 元 有货 加入购物车",
    "cp1252": "Chaise en chêne à prix réduit, 89,00 €, livrée près de chez vous",
}


@pytest.mark.parametrize("declared", ["", "<meta charset=utf-8>"])
@pytest.mark.parametrize("charset", sorted(TEXTS))
def test_letters_tell_a_character_set_that_is_not_declared_or_declared_wrongly(charset: str, declared: str) -> None:
    html = f"<html><head>{declared}<title>Chair</title></head><body><h1>{TEXTS[charset]}</h1></body></html>"
    prompt = page_prompt(html.encode(charset))
    assert TEXTS[charset] in prompt.text and prompt.notes == ("charset",)


@pytest.mark.parametrize("charset", ["cp1251", "shift_jis", "iso8859-2", "utf-8"])
def test_what_is_declared_and_fits_is_taken_without_a_note(charset: str) -> None:
    text = {"iso8859-2": "Židle z dubu, skladem"}.get(charset, TEXTS.get(charset, "Stühle größer"))
    html = f"<html><head><meta charset={charset}></head><body><h1>{text}</h1></body></html>".encode(charset)
    assert page_prompt(html).text == text and page_prompt(html).notes == ()


@pytest.mark.parametrize("declared", ["windows-1251", "iso-8859-1", "shift_jis", "gbk"])
@pytest.mark.parametrize("text", sorted(TEXTS.values()))
def test_well_formed_utf_8_is_not_read_as_the_set_it_declares(declared: str, text: str) -> None:
    html = (
        f"<html><head><meta charset={declared}></head><body><h1>{text}: für drüben – „größer“ déjà</h1></body></html>"
    )
    prompt = page_prompt(html.encode())
    assert prompt.text.startswith(text) and prompt.notes == ("charset",)
    few = f"<meta charset={declared}><h1>Caf\u00e9</h1>".encode()
    assert page_prompt(few).notes == ()


def test_the_language_decides_between_sets_that_fit_alike() -> None:
    html = "<html lang=he><body><h1>כיסא אלון במלאי</h1></body></html>".encode("cp1255")
    assert page_prompt(html).text == "כיסא אלון במלאי"


def test_a_few_broken_bytes_are_noted_and_a_page_of_nothing_else_is_refused() -> None:
    good = "<meta charset=utf-8><p>größere Stühle für Küche und Büro</p>".encode()
    assert page_prompt(good + b"<p>caf\xe9</p>").notes == ("characters",)
    with pytest.raises(InputError, match="letters cannot be read"):
        page_prompt(b"<meta charset=utf-8><p>" + "\ufffd".encode() * 60 + b" 12</p>")


def test_an_amount_cut_up_by_its_style_is_one_and_the_ceiling_knows_it(tmp_path: Path) -> None:
    spans = "<span>1</span><span>.</span><span>299</span><sup>00</sup> <span>€</span>"
    assert page_prompt(f"<p>{spans}</p>").text == "1.299 00 €"
    assert page_prompt("<p><b>1</b><i>'</i><b>299</b><i>.</i><b>50</b></p>").text == "1'299.50"
    assert page_prompt("<p><span>Size 5</span><span>, blue</span> <a>1</a> <a>2</a></p>").text == "Size 5 , blue 1 2"
    (tmp_path / "html").mkdir()
    (tmp_path / "html/a.html").write_text(f"<h1>Chair</h1><p>{spans}</p>")
    (tmp_path / "truth.json").write_text('{"a": {"price": ["1299.00"]}}')
    settings = PagesSettings.make(path=tmp_path / "html", truth=tmp_path / "truth.json")
    found = pl.read_parquet(run_pages(settings, tmp_path / "out").path / "recall.parquet")
    assert found["found"].all() and RAW in found["place"].to_list() and "price" in read_schema().names
