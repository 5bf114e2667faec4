"""The engine of a completions server, against a real one of this process that does everything, and ones that do not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from enumerable import Small, load_small
from helpers_completions import Body, Endpoint, Ways, completions_server
from recollect.core.llm import CompletionsSettings
from recollect.core.machine import Machine
from recollect.core.workspace import read_manifest
from recollect.engines import EngineSettings, find_engine
from recollect.errors import InputError, SelfTestError
from recollect.evaluate import EvaluateSettings, run_evaluate
from recollect.facts import Fact, FactSet, load_facts
from recollect.generate import Ask, Engine, Sampling, TransformersEngine
from recollect.generate.completions import CompletionsEngine, Remote
from recollect.generate.completions_check import check_same
from recollect.generate.completions_replies import Entry, Said, entries_of
from recollect.generate.completions_server import Abilities, Connection
from recollect.generate.conformance import check_engine, check_scores
from recollect.models import ModelSettings, load
from recollect.probe import ProbeResult, ProbeSettings, run_probe

MACHINE = Machine(1, "test", "server", "test", "its own", "test")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return load_small(tmp_path_factory.mktemp("small") / "model")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return load_small(tmp_path_factory.mktemp("other") / "model", seed=1)


def engine_of(small: Small, endpoint: Endpoint, here: Small | None = None, **values: object) -> CompletionsEngine:
    settings = CompletionsSettings.make(endpoint=endpoint.address, **{"retries": 0, **values})
    local = None if settings.weights else lambda: TransformersEngine((here or small).loaded)
    return CompletionsEngine(Remote(settings, small.loaded.tokenizer, frozenset({1}), 64, MACHINE, local))


def test_it_conforms_over_http(small: Small) -> None:
    with completions_server(TransformersEngine(small.loaded), Ways(own_top_k=1)) as server:
        engine = engine_of(small, server)
        check_engine(engine, small.truth)
        assert engine.scores_at(1.0) and not engine.scores_at(0.6)
        with pytest.raises(InputError, match=r"they hold at temperature 1\. Take --temperature 1, or"):
            engine.score([[0, 3]], [[[4]]], 0.6)
        [note] = engine.notes
        assert "are those of --model (within 0.000 of a log-probability)" in note
    drawn = [body for body in server.bodies if body["temperature"] == 0.6]
    assert drawn and all(body["top_k"] == 0 and body["top_p"] == 1 and body["min_p"] == 0 for body in drawn)


@pytest.mark.parametrize(
    ("ways", "lacks"),
    [
        (Ways(logprobs=False), "no log-probabilities at all"),
        (Ways(echo="generated"), "no log-probabilities of a prompt's own tokens"),
        (Ways(echo="zeros"), "no log-probabilities of a prompt's own tokens"),
    ],
)
def test_without_log_probabilities_of_a_prompt_it_is_sampled_only(small: Small, ways: Ways, lacks: str) -> None:
    with completions_server(TransformersEngine(small.loaded), ways) as server:
        engine = engine_of(small, server)
        assert not engine.scores_at(1.0)
        assert f"it gives {lacks}, so it can be sampled only." in engine.notes[1]
        with pytest.raises(InputError, match="it can be sampled only. Take what draws alone"):
            engine.score([[0, 3]], [[[4]]])
        p_value = engine.self_test(0.7)  # else against the model here
        assert p_value is not None and p_value > 1e-6


def test_entries_without_the_begin_token_are_read_at_their_places(small: Small) -> None:
    with completions_server(TransformersEngine(small.loaded), Ways(hides_begin=True)) as server:
        check_scores(engine_of(small, server), small.truth)


def test_a_server_that_gives_one_draw_a_request_is_asked_for_each(small: Small) -> None:
    with completions_server(TransformersEngine(small.loaded), Ways(many=False)) as server:
        engine = engine_of(small, server)
        asks = [Ask([0, 3], "a", 0, 3), Ask([0, 4], "b", 0, 0), Ask([0, 5], "c", 0, 2)]
        engine.greedy([[0, 3]], 1)
        before = len(server.bodies)
        assert [len(one.draws) for one in engine.sample(asks, Sampling(1.0, 4))] == [3, 0, 2]
        assert len(server.bodies) - before == 5
        assert "it gives one draw a request" in engine.notes[1]


def test_a_server_that_repeats_itself_gets_a_seed_for_each_draw(small: Small) -> None:
    with completions_server(TransformersEngine(small.loaded), Ways(fixed_seed=True)) as server:
        engine = engine_of(small, server)
        asks = [Ask([0, 3], "a", 0, 40)]
        found = engine.sample(asks, Sampling(1.0, 4))
        assert len({tuple(ids) for ids in found[0].draws}) > 5
        assert found == engine.sample(asks, Sampling(1.0, 4)) != engine.sample(asks, Sampling(1.0, 4, seed=1))


@pytest.mark.parametrize(
    ("ways", "says"),
    [
        (Ways(own_top_k=2, refuses=("top_k",)), r"do not follow softmax\(z/T\) at T=1, top_k=0"),
        (Ways(bent=0.5), r"do not follow softmax\(z/T\)"),
        (Ways(greedy_only=True), "gives the same answer eight times at temperature 2"),
    ],
)
def test_a_server_that_bends_its_draws_is_found_out(small: Small, ways: Ways, says: str) -> None:
    with completions_server(TransformersEngine(small.loaded), ways) as server:
        engine = engine_of(small, server)
        assert engine.greedy([[0, 3]], 2) == TransformersEngine(small.loaded).greedy([[0, 3]], 2)
        with pytest.raises(SelfTestError, match=says):
            engine.self_test(0.7)


def test_prompts_with_a_second_begin_token_are_found_out(small: Small) -> None:
    ways = Ways(ids=False, begins_twice=True)
    with (
        completions_server(TransformersEngine(small.loaded), ways) as server,
        pytest.raises(SelfTestError, match="puts tokens of its own before a prompt"),
    ):
        engine_of(small, server).greedy([[0, 3]], 1)


def test_a_server_that_does_not_count_its_answers_tokens_is_asked(small: Small) -> None:
    with completions_server(TransformersEngine(small.loaded), Ways(counts=False)) as server:
        assert engine_of(small, server).greedy([[0, 3]], 2) == TransformersEngine(small.loaded).greedy([[0, 3]], 2)


@pytest.mark.parametrize("top", [["a"], [{"token": "a", "logprob": "high"}], "abc", 5, None])
def test_log_probabilities_in_the_form_of_chats_are_read_strictly(top: object) -> None:
    row = {"logprob": -1.0, "top_logprobs": top}
    assert entries_of({"choices": [{"logprobs": {"content": [row, "junk"]}}]}) == [Entry(-1.0, {})]


def test_another_model_than_the_one_here_is_found_out_unless_it_is_named(small: Small, other: Small) -> None:
    with completions_server(TransformersEngine(other.loaded)) as server:
        with pytest.raises(SelfTestError, match=r"serves another model than --model: .* --completions.weights"):
            engine_of(small, server).greedy([[0, 3]], 1)
        engine = engine_of(small, server, weights="the other one")
        assert engine.greedy([[0, 3]], 3) == TransformersEngine(other.loaded).greedy([[0, 3]], 3)
        assert "its weights are named 'the other one' by the user" in engine.notes[0]


def test_the_model_is_the_only_one_or_named(small: Small) -> None:
    with completions_server(TransformersEngine(small.loaded), Ways(models=("a", "b"))) as server:
        with pytest.raises(InputError, match=r"serves 2 models \(a, b\). Name one with --completions.model"):
            engine_of(small, server).greedy([[0, 3]], 1)
        with pytest.raises(InputError, match=r"no such model or path .* Check --completions.endpoint and"):
            engine_of(small, server, model="c").greedy([[0, 3]], 1)
        assert engine_of(small, server, model="b").greedy([[0, 3]], 1)


def test_a_silent_server_and_a_busy_one(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "a-key-of-the-server")
    ways = Ways(fail=lambda number, body: 429 if number == 0 else 0)
    with completions_server(TransformersEngine(small.loaded), ways) as server:
        engine = engine_of(small, server, retries=1, key_variable="SECRET_OF_MINE", price_in=1.0)
        assert engine.greedy([[0, 3]], 1)
        assert server.headers[0]["authorization"] == "Bearer a-key-of-the-server"
        assert "prompt and" in engine.notes[-1] and "tokens cost 0.0" in engine.notes[-1]
        ways.fail = lambda number, body: 30.0
        with pytest.raises(InputError, match=r"did not answer a request \(no answer within 0.2 s; 1 try\)"):
            engine_of(small, server, timeout=0.2, model="small").greedy([[0, 3]], 1)
        ways.fail = lambda number, body: 0
        dear = engine_of(small, server, model="small", price_out=1000.0, max_cost=0.001)
        with pytest.raises(InputError, match="above --completions.max-cost 0.00. What was finished is kept"):
            dear.greedy([[0, 3]], 1)


# -- settings and identity ------------------------------------------------------------------------------------------


def test_auto_never_takes_it_and_its_settings_need_it() -> None:
    with pytest.raises(InputError, match=r"the engine completions needs --completions.endpoint"):
        EngineSettings.make(engine="completions")
    with pytest.raises(InputError, match="completions is of the engine completions alone, but engine is auto"):
        EngineSettings.make(completions={"endpoint": "http://localhost:1/v1"})
    assert "completions" not in EngineSettings.make().fingerprint_values()


def test_a_served_model_is_never_taken_for_the_one_here(small: Small) -> None:
    folder = str(small.loaded.folder)

    def print_of(**values: object) -> str:
        given = {"endpoint": "http://localhost:1/v1", **values}
        return find_engine(EngineSettings.make(model=folder, engine="completions", completions=given)).fingerprint

    here = find_engine(EngineSettings.make(model=folder)).fingerprint
    prints = [print_of(), print_of(model="a"), print_of(weights="q4"), print_of(weights="q8"), here]
    assert len(set(prints)) == 5 and all(one.startswith("served ") for one in prints[:4])
    assert print_of(endpoint="http://localhost:2/v1", timeout=9.0, max_cost=3.0) == print_of()  # where it is, how asked
    with pytest.raises(InputError, match="holds its model in memory.* Take --engine transformers"):
        find_engine(
            EngineSettings.make(engine="completions", completions={"endpoint": "http://localhost:1/v1"}), small.loaded
        )


def test_a_folder_with_a_tokenizer_alone_is_enough_for_named_weights(small: Small, tmp_path: Path) -> None:
    small.loaded.tokenizer.save_pretrained(tmp_path)
    with completions_server(TransformersEngine(small.loaded)) as server:
        given = {"endpoint": server.address, "weights": "of the test"}
        engine = find_engine(EngineSettings.make(model=str(tmp_path), engine="completions", completions=given)).load()
        assert engine.greedy([[0, 3]], 3) == TransformersEngine(small.loaded).greedy([[0, 3]], 3)


# -- the pocket, asked as a text ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pocket() -> TransformersEngine:
    return TransformersEngine(load(ModelSettings.make(model="pocket")))


def test_a_probe_and_an_evaluation_through_a_server_say_what_the_model_says_here(
    pocket: TransformersEngine, tmp_path: Path
) -> None:
    facts = load_facts("pocket")
    probe = {"method": "sampled", "limit": 16, "templates": 2, "samples": 40, "max_new_tokens": 8}
    asked = {"limit": 12, "parts": "test"}
    here = run_probe(ProbeSettings.make(**probe), facts, tmp_path / "here")
    wanted = run_evaluate(EvaluateSettings.make(**asked), facts, out=tmp_path / "wanted")
    drawn: list[int] = []

    def dies(number: int, body: Body) -> int:
        drawn.extend([number] * (body.get("n") == 40))
        return 503 if len(drawn) > 20 else 0

    ways = Ways(ids=False, tells_ids=False, logprobs=False, fail=dies)
    with completions_server(pocket, ways) as server:
        given = {"engine": "completions", "completions": {"endpoint": server.address, "retries": 0}}
        settings = ProbeSettings.make(**probe, **given, batch_size=8)
        with pytest.raises(InputError, match=r"did not answer a request \(status 503; 1 try\).*the same command again"):
            run_probe(settings, facts, tmp_path / "there")
        kept = len(list((tmp_path / "there.partial" / "parts").iterdir()))
        ways.fail = lambda number, body: 0
        there = run_probe(settings, facts, tmp_path / "there")
        answers = run_evaluate(EvaluateSettings.make(**asked, **given), facts, out=tmp_path / "answers")
    assert kept == 2 and isinstance(server.bodies[-1]["prompt"], str)  # of batches of 8 prompts
    draws = 2 * 40
    both = here.levels.join(there.levels, on="fact_id", suffix="_there")
    squares = 0.0
    for one, other in zip(both["score"], both["score_there"], strict=True):
        rate = (one + other) / 2
        squares += (one - other) ** 2 / max(2 * rate * (1 - rate) / draws, 1 / draws**2)
    assert squares < 60  # chi-square of 16 facts; a false alarm in two million
    assert answers.outputs()["output"].to_list() == wanted.outputs()["output"].to_list()
    manifest = read_manifest(there.path)
    assert manifest.settings["engine"] == "completions" and "completions" not in manifest.settings
    assert any("does not address its draws" in note for note in there.found.notes)
    assert "127.0.0.1" not in json.dumps(manifest.model_dump(mode="json"))


def test_what_a_probe_may_ask_of_a_server(small: Small, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text('R: ["c [X]", "[X] d"]\n', encoding="utf-8")
    facts = FactSet(tuple(Fact("R", x, y, f"what of {x}", split="test") for x in "abcd" for y in "abcd" if x != y))
    ways = Ways()
    with completions_server(TransformersEngine(small.loaded), ways) as server:
        place = {"endpoint": server.address, "retries": 0}
        common = {"template_file": str(tmp_path / "t.yaml"), "templates": 2, "max_new_tokens": 3, "pilot": 8}
        common |= {"model": str(small.loaded.folder), "samples": 5}

        def probe(method: str, engine: str = "completions", **values: object) -> ProbeResult:
            given = {**common, **values, "method": method, "engine": engine}
            given |= {"completions": place} if engine == "completions" else {}
            return run_probe(ProbeSettings.make(**given), facts, tmp_path / f"{method} {engine} {len(server.bodies)}")

        with pytest.raises(InputError, match=r"method closed-form needs .* at temperature 0.7.*\(--temperature 1\)"):
            probe("closed-form")
        with pytest.raises(InputError, match="method hybrid .* Take --method auto, adaptive"):
            probe("hybrid", temperature=1.0)
        closed, here = probe("closed-form", temperature=1.0), probe("closed-form", "transformers", temperature=1.0)
        assert closed.levels["score"].to_list() == pytest.approx(here.levels["score"].to_list(), abs=1e-4)
        ways.echo = "generated"
        auto = probe("auto").found
        assert auto.choice is not None and "no log-probabilities at temperature 0.7" in auto.choice.why
        with pytest.raises(InputError, match=r"method closed-form .*: sampled only. Take --method sampled, .*auto\.$"):
            probe("closed-form", temperature=1.0)


class _Echoes:
    """A server whose second echo has fewer entries than its first had."""

    settings = SimpleNamespace(endpoint="http://here/v1")
    stops = frozenset[int]()

    def ask(self, can: Abilities, prompts: Sequence[Sequence[int]], how: object) -> list[list[Said]]:
        return [[Said("", None, True, [Entry(None, {}), Entry(-1.0, {})])] for _ in prompts]


class _Scores:
    """A model that scores every token alike."""

    def score(
        self, prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[list[float]]]:
        return [[[-1.0 for _ in ids] for ids in one] for one in texts]


def test_a_server_whose_echo_grows_shorter_is_refused_in_words() -> None:
    can, uncounted = Abilities("served", echo=True), Said("", None, True, [], tokens=99)  # whose answer is not compared
    with pytest.raises(SelfTestError, match="echoed 2 log-probabilities for a prompt of 4 tokens"):
        check_same(cast(Connection, _Echoes()), can, cast(Engine, _Scores()), [[1, 2, 3, 4]], [[2]], [uncounted])
