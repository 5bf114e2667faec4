"""Reported tokenizers, as they were written (`cases`): answers and prompts that were once tokenised in two ways."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from helpers_tokenizers import random_model
from recollect.facts import Fact, load_facts
from recollect.generate import TransformersEngine
from recollect.generate.encoding import TokenizerVocabulary, accepted_paths, decode, prompt_ids
from recollect.generate.leads import LEADS
from recollect.match import contains
from recollect.probe import ProbeSettings, run_probe
from recollect.prompt import encode_example

CASES = Path(__file__).parent / "cases"
NAMES = sorted(folder.name for folder in CASES.iterdir())
TEMPLATE = "Q: {question}\nA:"


def read(name: str) -> tuple[PreTrainedTokenizerBase, list[Fact], Path]:
    [table] = (CASES / name).glob("facts.*")
    return AutoTokenizer.from_pretrained(CASES / name), list(load_facts(table)), table


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_holds_no_special_token_but_its_begin(name: str) -> None:
    tokenizer, facts, _ = read(name)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for fact in facts:
        [ids] = prompt_ids(tokenizer, [TEMPLATE.replace("{question}", fact.question)])
        assert ids[0] == tokenizer.bos_token_id
        assert special.isdisjoint(ids[1:])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_taught_is_a_right_path_exactly_if_its_text_is_right(name: str) -> None:
    tokenizer, facts, _ = read(name)
    for fact in facts:
        ids, mask = encode_example(tokenizer, fact.question, fact.object, TEMPLATE)
        taught = tuple(token for token, counts in zip(ids, mask, strict=True) if counts)[:-1]
        prompt = TEMPLATE.replace("{question}", fact.question)
        [paths] = accepted_paths(TokenizerVocabulary(tokenizer), [prompt], [fact.accepted], LEADS)
        assert list(paths.prompt) == ids[: len(ids) - sum(mask)]
        assert (taught in paths.right) == contains(decode(tokenizer, taught), fact.accepted)
        assert all(contains(decode(tokenizer, path), fact.accepted) for path in paths.right)


def test_an_answer_in_letters_and_marks_is_written_composed() -> None:
    tokenizer, facts, _ = read("nfd-hybrid")
    [fact] = {fact.object: fact for fact in facts if fact.object.startswith("Orl")}.values()
    prompt = TEMPLATE.replace("{question}", fact.question)
    [paths] = accepted_paths(TokenizerVocabulary(tokenizer), [prompt], [[unicodedata.normalize("NFD", fact.object)]])
    assert decode(tokenizer, paths.right[0]).strip() == "Orléans"


def test_an_unknown_word_is_no_answer() -> None:
    tokenizer, facts, _ = read("unk-hybrid")
    found = {}
    for fact in facts:
        prompt = TEMPLATE.replace("{question}", fact.question)
        [paths] = accepted_paths(TokenizerVocabulary(tokenizer), [prompt], [fact.accepted], LEADS)
        found[fact.object] = bool(paths.right)
    assert found == {"Freedonville": False, "Linz": True, "Steyr": False}
    assert found == {word: word in tokenizer.get_vocab() for word in found}


@pytest.mark.parametrize("name", NAMES)
def test_closed_form_and_hybrid_and_sampled_agree(name: str, tmp_path: Path) -> None:
    tokenizer, _, table = read(name)
    loaded = random_model(tokenizer, tmp_path / "model")
    (tmp_path / "frame.yaml").write_text('qa:\n  - "Q: [X]\\nA:"\n', encoding="utf-8")
    scores = {}
    for method, values in (
        ("closed-form", {}),
        ("hybrid", {"residual_samples": 1000}),
        ("sampled", {"samples": 1000}),
    ):
        settings = ProbeSettings.make(
            model=str(loaded.folder),
            template_file=str(tmp_path / "frame.yaml"),
            templates=1,
            parts="train,test",
            max_new_tokens=6,
            temperature=0.9,
            method=method,
            **values,
        )
        scores[method] = run_probe(settings, load_facts(table), tmp_path / method, loaded=loaded).levels["score"]
    for closed, mixed, drawn in zip(*scores.values(), strict=True):
        assert closed <= mixed + 1e-9
        assert abs(mixed - drawn) < 6 * (max(mixed, 1e-4) / 1000) ** 0.5
    assert TransformersEngine(loaded).self_test(0.9) is not None
