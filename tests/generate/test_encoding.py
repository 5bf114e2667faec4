"""One tokenisation and one judge: on awkward tokenizers every method agrees with brute force over decoded texts.

Five tokenizers are trained on the spot, each plain and with a post-processor that puts an end token after every text;
a tiny random model goes with each, so small that all completions of two tokens can be written down and judged.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from recollect.core.machine import Machine
from recollect.errors import InputError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import Fact, FactSet
from recollect.generate import TransformersEngine
from recollect.generate.encoding import (
    TokenizerVocabulary,
    accepted_paths,
    begin_ids,
    check_context,
    context_limit,
    decode,
    prompt_ids,
    text_ids,
    unreachable,
)
from recollect.generate.leads import useful_leads
from recollect.match import contains, exact
from recollect.models import LoadedModel, model_fingerprint
from recollect.probe import ProbeSettings, SlickSettings, run_probe, run_slick
from recollect.prompt import check_answers, encode_example, encode_prompt

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
CORPUS = [
    "Q: Where is the Inn ? A: Linz",
    "Q: Who ? A: Zoé",
    "Q: What is <s> ? A: a </s> tag",
    "café ½ m² ß 3 3.1",
] * 3
ANSWERS = ["Linz", "linz", "Zoé", "Zoe\u0301", "Inn", "Xyz", "</s>", "3", "½", "the Inn", "is"]
TEMPERATURE = 0.8


def bpe(*, lower: bool = False) -> Tokenizer:
    raw = Tokenizer(models.BPE())
    if lower:
        raw.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=75, special_tokens=SPECIAL, show_progress=False))
    return raw


def word_level() -> Tokenizer:
    raw = Tokenizer(models.WordLevel(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.train_from_iterator(CORPUS, trainers.WordLevelTrainer(special_tokens=SPECIAL, show_progress=False))
    return raw


def unigram() -> Tokenizer:
    raw = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.NFC()
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    raw.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    raw.train_from_iterator(CORPUS, trainer)
    return raw


def word_piece() -> Tokenizer:
    raw = Tokenizer(models.WordPiece(unk_token="<unk>"))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.decoder = decoders.WordPiece(prefix="##")
    trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=SPECIAL, show_progress=False)
    raw.train_from_iterator(CORPUS, trainer)
    return raw


KINDS = {
    "byte-level": bpe,
    "byte-level, NFKC and lower case": lambda: bpe(lower=True),
    "word-level": word_level,
    "unigram": unigram,
    "word-piece": word_piece,
}


@dataclass
class World:
    """A tokenizer with a random model, and the exact probability of every completion of two tokens."""

    loaded: LoadedModel
    ends: bool

    def completions(self, question: str) -> list[tuple[tuple[int, ...], float]]:
        stop = self.loaded.tokenizer.eos_token_id
        prompt = prompt_ids(self.loaded.tokenizer, [f"Q: {question}\nA:"])[0]
        size = self.loaded.model.config.vocab_size
        with torch.inference_mode():
            first = self.loaded.model(input_ids=torch.tensor([prompt])).logits[0, -1].double() / TEMPERATURE
            rows = torch.tensor([[*prompt, token] for token in range(size)])
            second = self.loaded.model(input_ids=rows).logits[:, -1].double() / TEMPERATURE
        one, two = torch.softmax(first, -1).numpy(), torch.softmax(second, -1).numpy()
        found: list[tuple[tuple[int, ...], float]] = [((), one[stop])]
        for token in range(size):
            if token != stop:
                found.append(((token,), one[token] * two[token, stop]))
                found += [((token, after), one[token] * two[token, after]) for after in range(size) if after != stop]
        return found


@pytest.fixture(scope="module", params=[("byte-level", False), *((kind, True) for kind in KINDS)], ids=str)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    kind, ends = request.param
    raw = KINDS[kind]()
    begin, end = raw.token_to_id("<s>"), raw.token_to_id("</s>")
    if ends:
        pairs = [("<s>", begin), ("</s>", end)]
        raw.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=pairs)
    folder = tmp_path_factory.mktemp("world")
    PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    ).save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=max(raw.get_vocab().values()) + 1,  # a special token that is a word too leaves a gap
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        initializer_range=0.4,
        bos_token_id=begin,
        eos_token_id=end,
        pad_token_id=raw.token_to_id("<pad>"),
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    machine = Machine(1, "test", "cpu", "test", "float32", "test")
    return World(LoadedModel(model, tokenizer, folder, model_fingerprint(folder), machine), ends)


def facts() -> FactSet:
    return FactSet(
        tuple(
            Fact("qa", question, answer, question, split="test", synonyms=synonyms)
            for question in ("Where is the Inn ?", "What is <s> ?")
            for answer, synonyms in [*((answer, ()) for answer in ANSWERS), ("Xyz Linz", ("Linz", "Zoé"))]
        )
    )


def settings(world: World, frame: Path, method: str, **values: object) -> ProbeSettings:
    frame.write_text('qa:\n  - "Q: [X]\\nA:"\n', encoding="utf-8")
    return ProbeSettings.make(
        **{
            "model": str(world.loaded.folder),
            "template_file": str(frame),
            "templates": 1,
            "parts": "test",
            "method": method,
            "max_new_tokens": 2,
            "temperature": TEMPERATURE,
            **values,
        }
    )


def exact_scores(world: World) -> tuple[list[float], list[float]]:
    """(probability of a right text, of a right text that starts with an accepted form's own tokens) of each fact."""
    tokenizer = world.loaded.tokenizer
    distributions = {fact.question: world.completions(fact.question) for fact in facts()}
    texts: dict[tuple[int, ...], str] = {}
    prompts = [f"Q: {fact.question}\nA:" for fact in facts()]
    leads = useful_leads(TransformersEngine(world.loaded), prompts, [f.accepted for f in facts()], TEMPERATURE, 2)
    right, at_once = [], []
    for fact in facts():
        [found] = accepted_paths(TokenizerVocabulary(tokenizer), [f"Q: {fact.question}\nA:"], [fact.accepted], leads)
        paths = [path for path in found.right if len(path) <= 2]
        sums = [0.0, 0.0]
        for said, probability in distributions[fact.question]:
            text = texts.setdefault(said, decode(tokenizer, said))
            if contains(text, fact.accepted):
                sums[0] += probability
                sums[1] += probability * any(said[: len(path)] == path for path in paths)
        right.append(sums[0])
        at_once.append(sums[1])
    return right, at_once


def test_every_method_agrees_with_the_texts(world: World, tmp_path: Path) -> None:
    right, at_once = exact_scores(world)
    frame = tmp_path / "frame.yaml"

    def scores(method: str, **values: object) -> list[float]:
        given = settings(world, frame, method, **values)
        return run_probe(given, facts(), tmp_path / method, loaded=world.loaded).levels["score"].to_list()

    assert scores("closed-form") == pytest.approx(at_once, abs=1e-6)
    for method, values in (("hybrid", {"residual_samples": 1000}), ("sampled", {"samples": 1000})):
        for score, truth in zip(scores(method, **values), right, strict=True):
            assert abs(score - truth) < 4.5 * (truth * (1 - truth) / 1000) ** 0.5 + 1e-6
    assert max(at_once) > 1e-4


def test_cold_draws_evaluation_and_slick_give_one_verdict(world: World, tmp_path: Path) -> None:
    given = settings(world, tmp_path / "frame.yaml", "sampled", temperature=1e-4, samples=2)
    cold = run_probe(given, facts(), tmp_path / "cold", loaded=world.loaded).levels["score"].to_list()
    how = EvaluateSettings.make(
        model=str(world.loaded.folder), parts="test", max_new_tokens=2, prompt_template="Q: {question}\nA:"
    )
    outputs = run_evaluate(how, facts(), out=tmp_path / "asked", loaded=world.loaded).outputs()
    assert [float(verdict) for verdict in outputs["contains"]] == cold
    few = SlickSettings.make(
        model=str(world.loaded.folder), parts="test", prompts=1, shots=0, samples=1, max_new_tokens=2
    )
    graded = run_slick(few, facts(), tmp_path / "slick", loaded=world.loaded).categories
    for fact, output, count in zip(facts(), outputs["output"], graded["greedy_right"], strict=True):
        assert count == exact(output, fact.accepted)


def test_an_answer_taught_by_its_own_tokens_is_judged_right_or_named(world: World) -> None:
    """Whatever training teaches, what the tokenizer makes of it is judged; what it cannot write is counted."""
    tokenizer = world.loaded.tokenizer
    asked = list(facts())
    paths = accepted_paths(
        TokenizerVocabulary(tokenizer), [f"Q: {fact.question}\nA:" for fact in asked], [fact.accepted for fact in asked]
    )
    for fact, path in zip(asked, paths, strict=True):
        ids, mask = encode_example(tokenizer, fact.question, fact.object, "Q: {question}\nA:")
        taught = tuple(token for token, counts in zip(ids, mask, strict=True) if counts)[:-1]
        assert ids[-1] == tokenizer.eos_token_id
        assert tokenizer.eos_token_id not in ids[:-1]
        assert (taught in path.right) == contains(decode(tokenizer, taught), fact.accepted)
    lost = unreachable([fact.object for fact in asked], [path.shortest for path in paths], 100).not_writable
    assert lost == [fact.object for fact, path in zip(asked, paths, strict=True) if not path.right]


def test_prompts_end_where_the_text_ends_and_hold_no_special_token_of_their_own(world: World) -> None:
    tokenizer = world.loaded.tokenizer
    begin = [tokenizer.bos_token_id]
    assert begin_ids(tokenizer) == begin
    for text in ("What is <s> ?", "</s>", "a </s> tag <pad>", "<s></s>"):
        ids = prompt_ids(tokenizer, [text])[0]
        special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
        assert ids[:1] == begin and special.isdisjoint(ids[1:])
        assert ids == begin + text_ids(tokenizer, [text])[0]
        assert encode_prompt(tokenizer, text, "{question}") == ids
    TransformersEngine(world.loaded).self_test(TEMPERATURE)


def tokenizer_of(raw: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


def taught(tokenizer: PreTrainedTokenizerFast, answers: list[str]) -> list[str]:
    return check_answers(tokenizer, [encode_example(tokenizer, "Who ?", answer) for answer in answers], answers)


def test_training_does_not_teach_unknown_words_without_a_word() -> None:
    words = tokenizer_of(word_level())
    assert taught(words, ["Linz", "Zoé", "Linz"]) == []
    [note] = taught(words, ["Linz", "Freedonville", "Zoé"])
    assert note.startswith("The tokenizer has no tokens for 1 of 3 answers (for example 'Freedonville' as ''")
    with pytest.raises(InputError, match="cannot write 2 of 3 answers"):
        taught(words, ["Linz", "Freedonville", "Xyz"])


def test_training_says_that_a_tokenizer_drops_case() -> None:
    [note] = taught(tokenizer_of(bpe(lower=True)), ["Linz", "the inn"])
    assert note.startswith("The tokenizer changes upper and lower case of 1 of 2 answers (for example 'Linz' as 'linz'")


def test_a_normalising_tokenizer_still_writes_the_answer() -> None:
    pieces = tokenizer_of(unigram())  # NFC
    [path] = accepted_paths(TokenizerVocabulary(pieces), ["Q: Who ?\nA:"], [[unicodedata.normalize("NFD", "Zoé")]])
    assert decode(pieces, path.right[0]) == "Zoé"


def test_answers_out_of_reach_are_named_in_one_line() -> None:
    found = unreachable(["Linz", "a very long answer", "Xyz", "Graz"], [2, 17, None, 16], 16)
    assert found.too_long == ["a very long answer"]
    assert found.not_writable == ["Xyz"]
    too_long, not_writable = found.notes
    assert too_long.startswith("1 of 4 answers ('a very long answer') is longer than max_new_tokens=16")
    assert not_writable.startswith("1 of 4 answers ('Xyz') is not writable")
    assert unreachable(["Linz"], [2], 16).notes == []


def test_begin_tokens_are_the_tokenizers_own_else_its_begin_token() -> None:
    raw = bpe()
    assert begin_ids(tokenizer_of(raw)) == [1]
    raw.post_processor = processors.TemplateProcessing(single="<pad> <s> $A", special_tokens=[("<pad>", 3), ("<s>", 1)])
    assert begin_ids(tokenizer_of(raw)) == [3, 1]
    raw.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    assert begin_ids(PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>")) == []


def test_a_begin_token_that_opens_the_turns_of_a_chat_stands_before_no_plain_text() -> None:
    """SmolLM2: `<|im_start|>` is named as its begin token, and its tokenizer puts nothing before a text."""
    raw = bpe()
    raw.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
    assert begin_ids(tokenizer) == [1]
    tokenizer.chat_template = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}"
    assert begin_ids(tokenizer) == []
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    own = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
    own.chat_template = tokenizer.chat_template
    assert begin_ids(own) == [1]


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ({"max_position_embeddings": 16}, 16),
        ({"max_position_embeddings": 2048, "rope_parameters": {"rope_type": "linear", "factor": 4.0}}, 8192),
        (
            {
                "max_position_embeddings": 131072,
                "rope_parameters": {
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "original_max_position_embeddings": 8192,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                },
            },
            131072,
        ),
    ],
)
def test_the_context_of_a_configuration(values: dict[str, object], limit: int) -> None:
    assert context_limit(LlamaConfig(**values)) == limit


def test_other_names_for_the_context() -> None:
    from transformers import BloomConfig, GPT2Config, OPTConfig

    assert context_limit(GPT2Config(n_positions=77)) == 77
    assert context_limit(OPTConfig(max_position_embeddings=88)) == 88
    assert context_limit(BloomConfig()) is None  # relative positions


def test_a_text_beyond_the_context_is_refused_with_its_name_and_the_limit() -> None:
    config = LlamaConfig(max_position_embeddings=16)
    check_context(context_limit(config), [[1] * 12], ["fact a"], 4)
    check_context(context_limit(BrokenConfig()), [[1] * 1000], ["fact a"], 4)
    with pytest.raises(
        InputError, match=r"fact b has 13 tokens and 4 new ones, but the model's context holds 16; 1 of 2"
    ):
        check_context(context_limit(config), [[1] * 12, [1] * 13], ["fact a", "fact b"], 4)


class BrokenConfig:
    """A configuration that states no length."""


def test_commands_refuse_prompts_beyond_the_context(world: World, tmp_path: Path) -> None:
    long = FactSet((Fact("qa", "Inn " * 200, "Linz", "Inn " * 200, split="test"),))
    folder = str(world.loaded.folder)
    probed = settings(world, tmp_path / "frame.yaml", "closed-form")
    asked = EvaluateSettings.make(model=folder, parts="test")
    graded = SlickSettings.make(model=folder, parts="test", prompts=1, shots=0)
    for run in (
        lambda: run_probe(probed, long, tmp_path / "p", loaded=world.loaded),
        lambda: run_evaluate(asked, long, out=tmp_path / "e", loaded=world.loaded),
        lambda: run_slick(graded, long, tmp_path / "s", loaded=world.loaded),
    ):
        with pytest.raises(InputError, match="context holds 128"):
            run()
    assert np.all([not (tmp_path / name).exists() for name in "pes"])
