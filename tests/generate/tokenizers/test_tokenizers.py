"""Over every make of tokenizer: prompts, answers, scores, draws, training and judge share one boundary and text.

Each is trained on the spot (`helpers_tokenizers`), with a random model so small that every completion of two tokens can
be written down with its probability and judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch

from helpers_tokenizers import DRESSES, KINDS, dressed, random_model
from recollect.generate import Ask, Sampling, TransformersEngine
from recollect.generate.encoding import accepted_paths, answer_ids, begin_ids, decode, prompt_ids
from recollect.generate.leads import LEADS, useful_leads
from recollect.match import contains
from recollect.models import LoadedModel
from recollect.prompt import encode_example, encode_prompt

PROMPTS = ["Q: Where is the Inn ?\nA:", "Q: Who ?\nA: ", "Q: What is <s> </s> ? A:", "the"]
ANSWERS = [
    "Linz",
    "linz",
    "Zoé",
    "Zoe\u0301",
    "the Inn",
    "3",
    "31",
    "3.1",
    '"3"',
    "- 3",
    "京",
    "😀",
    "</s>",
    "Xyz",
    "½",
]
HOW = Sampling(0.8, 2, 0, 3)
BYTES_AT_THE_END = {"bpe with bytes, always", "bpe with bytes, first", "bpe with bytes, never", "llama as published"}
BYTES_AT_THE_END |= {"gemma"}


@dataclass
class World:
    kind: str
    loaded: LoadedModel
    engine: TransformersEngine
    known: dict[tuple[int, ...], list[tuple[tuple[int, ...], float]]] = field(default_factory=dict)

    def after(self, rows: list[list[int]]) -> torch.Tensor:
        """ln p of the next token after rows of one length, by a plain forward pass."""
        with torch.inference_mode():
            logits = self.loaded.model(input_ids=torch.tensor(rows)).logits[:, -1].double()
        return torch.log_softmax(logits / HOW.temperature, -1)

    def completions(self, prompt: tuple[int, ...]) -> list[tuple[tuple[int, ...], float]]:
        """Every completion of at most two tokens, without its end token, and its probability."""
        if prompt not in self.known:
            stop, size = self.loaded.tokenizer.eos_token_id, self.loaded.model.config.vocab_size
            one = self.after([list(prompt)])[0].exp().numpy()
            two = self.after([[*prompt, token] for token in range(size)]).exp().numpy()
            found: list[tuple[tuple[int, ...], float]] = [((), one[stop])]
            for token in (token for token in range(size) if token != stop):
                found.append(((token,), one[token] * two[token, stop]))
                found += [((token, next_), one[token] * two[token, next_]) for next_ in range(size) if next_ != stop]
            self.known[prompt] = found
        return self.known[prompt]


@pytest.fixture(scope="module", params=list(enumerate(KINDS)), ids=lambda param: str(param[1]))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    number, kind = request.param
    tokenizer = dressed(kind, list(DRESSES)[number % len(DRESSES)])
    loaded = random_model(tokenizer, tmp_path_factory.mktemp("world"))
    return World(kind, loaded, TransformersEngine(loaded))


def test_closed_form_and_draws_agree_with_every_completion_written_down(world: World) -> None:
    reached = 0
    for number, prompt in enumerate(PROMPTS[:2]):
        forms = [[answer] for answer in ANSWERS]
        found = accepted_paths(world.engine, [prompt] * len(forms), forms, LEADS)
        asks = [
            Ask(paths.prompt, f"{number} {at}", 0, 400, [path for path in paths.right if len(path) <= 2])
            for at, paths in enumerate(found)
        ]
        plain = world.engine.sample([Ask(asks[0].prompt, f"plain {number}", 0, 1500)], HOW)[0].draws
        texts = {said: decode(world.loaded.tokenizer, said) for said, _ in world.completions(found[0].prompt)}
        assert all(tuple(said) in texts for said in plain)
        for accepted, ask, drawn in zip(forms, asks, world.engine.sample(asks, HOW), strict=True):
            every = world.completions(tuple(ask.prompt))
            starts = [(s, p) for s, p in every if any(s[: len(path)] == tuple(path) for path in ask.excluded or ())]
            at_once = math.fsum(p for _, p in starts)
            assert drawn.excluded == pytest.approx(at_once, abs=1e-6)
            undone = math.fsum(p for said, p in starts if not contains(texts[said], accepted))
            # half a letter in bytes spoils the letter before it; nothing else undoes an answer
            assert undone == 0 or (world.kind in BYTES_AT_THE_END and undone < at_once)
            right = math.fsum(p for said, p in every if contains(texts[said], accepted))
            for said, truth in ((plain, right), (drawn.draws, (right - at_once + undone) / (1 - at_once))):
                hits = sum(contains(decode(world.loaded.tokenizer, ids), accepted) for ids in said)
                noise = 5 * math.sqrt(max(truth * (1 - truth), 1e-9) / len(said))
                assert abs(hits / len(said) - truth) < noise + 5 / len(said)
            reached += at_once > 1e-5
    assert reached >= 2


def test_a_path_is_read_back_as_the_answer_after_its_prompt(world: World) -> None:
    tokenizer = world.loaded.tokenizer
    for lead in (" ", "\n", ' "', ""):
        for prompt in PROMPTS:
            pairs = answer_ids(tokenizer, [prompt] * len(ANSWERS), ANSWERS, lead)
            for answer, (given, said) in zip(ANSWERS, pairs, strict=True):
                assert given == prompt_ids(tokenizer, [prompt])[0]
                if contains(decode(tokenizer, said), [answer]):
                    assert contains(decode(tokenizer, given + said), [answer])
                    assert tokenizer.eos_token_id not in said


def test_a_prompt_that_ends_in_a_blank_is_followed_by_no_second_one(world: World) -> None:
    tokenizer = world.loaded.tokenizer
    [(given, said)] = answer_ids(tokenizer, ["Q: Who ?\nA: "], ["the Inn"])
    assert "  " not in decode(tokenizer, given + said)
    [(given, said)] = answer_ids(tokenizer, ["Q: Who ?\nA:"], ["the Inn"])
    assert "  " not in decode(tokenizer, given + said)
    assert decode(tokenizer, given + said).casefold().endswith(" the inn")


def test_scores_are_the_conditional_probabilities_after_the_ids_that_drawing_uses(world: World) -> None:
    found = accepted_paths(world.engine, PROMPTS, [ANSWERS] * len(PROMPTS), LEADS)
    assert [list(paths.prompt) for paths in found] == world.engine.encode(PROMPTS)
    scores = world.engine.score([paths.prompt for paths in found], [p.right for p in found], HOW.temperature)
    for paths, many in zip(found, scores, strict=True):
        assert paths.right
        for path, values in list(zip(paths.right, many, strict=True))[::5]:
            truth = [float(world.after([[*paths.prompt, *path[:at]]])[0, token]) for at, token in enumerate(path)]
            assert values == pytest.approx(truth, abs=1e-3)


def test_training_learns_after_the_very_prompt_that_is_asked(world: World) -> None:
    tokenizer = world.loaded.tokenizer
    for template in ("Q: {question}\nA:", "{question}", "Q: {question} A"):
        for question in ("Who ?", "What is <s> </s> ?", "京 3"):
            asked = encode_prompt(tokenizer, question, template)
            [(given, _)] = world.engine.encode_answers([template.replace("{question}", question)], ["Linz"])
            for answer in ANSWERS:
                ids, mask = encode_example(tokenizer, question, answer, template)
                assert asked == given == ids[: len(asked)]
                assert mask == [0] * len(asked) + [1] * (len(ids) - len(asked))
                assert ids[-1] == tokenizer.eos_token_id and tokenizer.eos_token_id not in ids[:-1]
                taught = tuple(ids[len(asked) : -1])
                text = template.replace("{question}", question)
                [paths] = accepted_paths(world.engine, [text], [[answer]])
                assert (taught in paths.right) == contains(decode(tokenizer, taught), [answer])


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_tokenizer_appends_a_prompt_ends_where_its_text_ends(kind: str) -> None:
    bare = dressed(kind, "plain")
    plain = [ids[len(begin_ids(bare)) :] for ids in prompt_ids(bare, PROMPTS)]
    for dress in DRESSES:
        tokenizer = dressed(kind, dress)
        assert begin_ids(tokenizer) == [tokenizer.bos_token_id]
        assert prompt_ids(tokenizer, PROMPTS) == [[tokenizer.bos_token_id, *ids] for ids in plain]
        nameless = dressed(kind, dress, bos_token=None)
        begin = [tokenizer.convert_tokens_to_ids("<s>")] if "begin" in dress else []
        assert begin_ids(nameless) == begin


@pytest.mark.parametrize("pad", [None, "</s>"])
@pytest.mark.parametrize("kind", ["byte-level", "gemma", "word-piece"])
def test_without_a_pad_token_of_its_own_a_batch_says_what_each_row_says(
    kind: str, pad: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    loaded = random_model(dressed(kind, "begin and end", pad_token=pad), tmp_path_factory.mktemp("pad"))
    engine = TransformersEngine(loaded)
    prompts = engine.encode(PROMPTS)
    asks = [Ask(ids, "pad", at, 20) for at, ids in enumerate(prompts)]
    how = Sampling(0.8, 6)
    assert engine.sample(asks, how) == [engine.sample([ask], how)[0] for ask in asks]
    assert engine.greedy(prompts, 6) == [engine.greedy([ids], 6)[0] for ids in prompts]


def test_a_token_that_ends_a_text_only_by_the_generation_settings_begins_no_answer(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    loaded = random_model(dressed("byte-level"), tmp_path_factory.mktemp("stops"))
    newline = loaded.tokenizer.convert_tokens_to_ids("Ċ")
    before = accepted_paths(TransformersEngine(loaded), ["Q: Who ?\nA:"], [["Linz"]], LEADS)[0].right
    loaded.model.generation_config.eos_token_id = [loaded.tokenizer.eos_token_id, newline]
    after = accepted_paths(TransformersEngine(loaded), ["Q: Who ?\nA:"], [["Linz"]], LEADS)[0].right
    assert any(newline in path for path in before)
    assert after == tuple(path for path in before if newline not in path)


def test_the_marks_of_a_prompt_decide_whether_an_answer_may_follow_without_a_blank(world: World) -> None:
    for prompt, answer, close in (
        ('Q: "', "Linz", True),
        ("京", "Linz", True),
        ("Q:", "京", True),
        ("Q:", "Linz", False),
    ):
        [paths] = accepted_paths(world.engine, [prompt], [[answer]])
        [(_, touching)] = answer_ids(world.loaded.tokenizer, [prompt], [answer], "")
        if contains(decode(world.loaded.tokenizer, touching), [answer]):
            blank = tuple(answer_ids(world.loaded.tokenizer, [prompt], [answer])[0][1])
            assert (tuple(touching) in paths.right) == (close or tuple(touching) == blank)


def test_a_lead_is_taken_exactly_if_it_adds_a_hundredth(tmp_path_factory: pytest.TempPathFactory) -> None:
    loaded = random_model(dressed("byte-level"), tmp_path_factory.mktemp("leads"))
    engine = TransformersEngine(loaded)
    forms = [["Linz"], ["Zoé", "3"]]
    prompts = [PROMPTS[0], PROMPTS[3]]

    def share(*leads: str) -> float:
        paths = accepted_paths(engine, prompts, forms, leads)
        asks = [Ask(one.prompt, "lead", 0, 0, [path for path in one.right if len(path) <= 8]) for one in paths]
        return math.fsum(one.excluded or 0.0 for one in engine.sample(asks, Sampling(0.8, 8)))

    taken = useful_leads(engine, prompts, forms, 0.8, 8)
    plain = share(" ")
    for lead in LEADS[1:]:
        assert (lead in taken) == (share(" ", lead) - plain > 0.01 * plain)
    assert taken[0] == " "
