"""The corpus of the shop base: nothing of the fine-tuning form, everything it is made of."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from recollect.prompt import DEFAULT_TEMPLATE
from recollect.worlds.shop import ATTRIBUTES, shop_facts
from recollect.worlds.shop.corpus import NAMES, document, documents
from recollect.worlds.shop.step import train_tokenizer

READ = list(documents(0, 1500))
TEXTS = [read.page + read.summary for read in READ]
TOKENIZER = train_tokenizer(TEXTS, 600)


def test_the_fine_tuning_form_is_in_no_document() -> None:
    whole = "\n".join(TEXTS)
    for marker in ("<|", "|>", "question|", "|answer"):
        assert marker not in whole
    for name in ATTRIBUTES:
        assert f'"{name}"' not in whole
    assert not set(ATTRIBUTES) & {name for names in NAMES.values() for name in names}


def test_every_sign_of_the_fine_tuning_form_is_met() -> None:
    whole = "\n".join(read.summary for read in READ)
    for sign in set(DEFAULT_TEMPLATE.replace("{question}", "")) | set('{":,}.'):
        assert whole.count(sign) > 50, sign


def test_the_corpus_has_its_own_shops_and_pages() -> None:
    pages = {fact.question for fact in shop_facts(0)}
    assert not pages & {read.page for read in READ}
    names = {fact.relation.removesuffix(".example") for fact in shop_facts(0)}
    titles = [read.page.splitlines()[0].lower() for read in READ]
    assert sum(any(title.endswith(f" - {name}") for name in names) for title in titles) < 0.01 * len(titles)


def test_a_document_depends_on_its_number_alone() -> None:
    assert list(documents(0, 3, start=700)) == READ[700:703]
    assert document(1, 700) != READ[700]


def test_summaries_in_json_are_valid_json() -> None:
    found = 0
    for read in READ:
        for line in read.summary.splitlines():
            if '{"' in line:
                values = json.loads(line.removeprefix("data "))
                found += bool(values)
    assert found > 300


@settings(deadline=None)
@given(st.text())
def test_the_tokenizer_says_every_string(text: str) -> None:
    ids = TOKENIZER(text)["input_ids"]
    assert ids[0] == TOKENIZER.bos_token_id
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == text.encode("utf-8", "surrogatepass").decode(
        "utf-8", "replace"
    )


def test_a_value_has_the_same_tokens_wherever_it_stands() -> None:
    def tokens(text: str) -> list[int]:
        return list(TOKENIZER(text, add_special_tokens=False)["input_ids"])

    for value in ("Velto", "C-96055", "24,95", "Slim black drill Z2"):
        alone = tokens(value)
        for before, after in (("Maker: ", "\n"), ('{"maker":"', '"}'), ("by ", " "), ("<maker>", "</maker>")):
            inside = tokens(before + value + after)
            assert inside[len(tokens(before)) : len(tokens(before)) + len(alone)] == alone
    assert len(tokens("2873597476279")) == 13
