"""Conversations as facts: learned whole, asked answer by answer."""

from recollect.chat.turns import asked, conversation_of, exchange, last_asked, learned, questions, with_exchanges
from recollect.conversation import Conversation, ToolCall, Turn
from recollect.facts import FactSet

SYSTEM = Turn("system", "Be short.")
CALL = Turn("assistant", "", tool_calls=(ToolCall("weather", {"in": "Lima", "days": [1, None]}, "c1"),))
TALK = Conversation(
    "7",
    (
        SYSTEM,
        Turn("user", "Weather in Lima?"),
        CALL,
        Turn("tool", "18 °C", name="weather", call_id="c1"),
        Turn("assistant", "Eighteen degrees."),
        Turn("user", "And in Cusco? \U0001f600"),
        Turn("assistant", "I do not know."),
        Turn("user", "Thanks!"),
    ),
    tools=({"type": "function", "function": {"name": "weather"}},),
    source="chat.jsonl: line 3",
)


def test_a_conversation_is_stored_whole_and_read_again() -> None:
    facts = FactSet((learned(TALK),), "talks")
    again = FactSet.from_table(facts.table())
    assert again.fingerprint() == facts.fingerprint()
    found = conversation_of(again.facts[0])
    assert (found.turns, found.tools, found.source) == (TALK.turns, TALK.tools, "")


def test_each_answer_in_words_is_asked_after_what_came_before_it() -> None:
    found = asked(learned(TALK))
    assert [(one.id, one.subject, one.part, one.object) for one in found] == [
        ("7#4", "7", "test", "Eighteen degrees."),
        ("7#6", "7", "test", "I do not know."),
    ]
    assert [conversation_of(one).train_on for one in found] == [(4,), (6,)]
    assert conversation_of(found[0]).turns == TALK.turns[:5]
    assert found[0].question == "system: Be short.\nuser: Weather in Lima?\nassistant: calls weather\ntool: 18 °C"
    assert [last_asked(one) for one in found] == ["Weather in Lima?", "And in Cusco? \U0001f600"]
    assert {one.question for one in found} <= set(questions(learned(TALK)))


def test_which_answers_are_asked() -> None:
    assert [one.id for one in asked(learned(TALK), "last")] == ["7#6"]
    own = Conversation("8", TALK.turns, train_on=(2, 4))
    assert [one.id for one in asked(learned(own))] == ["8#4"]  # the row's own choice; a call has no words
    only = Conversation("9", TALK.turns[:3])
    assert asked(learned(only)) == []
    assert learned(only).object == "calls weather"


def test_a_single_question_stays_as_it_is() -> None:
    one = Conversation("1", (Turn("user", " Capital of Peru? "), Turn("assistant", "Lima\n")))
    assert (learned(one).question, learned(one).object) == ("Capital of Peru?", "Lima")
    assert exchange(learned(one)) == ("Capital of Peru?", "Lima")


def test_examples_stand_after_the_system_turn() -> None:
    [first, _] = asked(learned(TALK))
    shown = with_exchanges(conversation_of(first), [exchange(first), ("Capital of Peru?", "Lima")])
    assert exchange(first) == ("Weather in Lima?", "Eighteen degrees.")
    assert [turn.role for turn in shown.turns[:6]] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert shown.turns[4].content == "Lima"
    assert shown.train_on == (8,)
    assert shown.turns[8].content == "Eighteen degrees."
