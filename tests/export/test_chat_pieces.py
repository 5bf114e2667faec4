"""Chat templates in pieces, and in Ollama's language: right for those that only put texts around turns, else refused.

The templates are short ones of our own with the habits of well-known families.
"""

import re

import jinja2
import pytest

from recollect.export.chat_pieces import NotInPiecesError, Pieces, take_apart
from recollect.export.ollama import go_template, modelfile

CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADERS = (
    "<|begin|>{% for m in messages %}<|head|>{{ m['role'] }}<|tail|>\n\n{{ m['content'] | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|tail|>\n\n{% endif %}"
)
INTO_THE_FIRST_TURN = (
    "<bos>{% if messages[0]['role'] == 'system' %}{% set head = messages[0]['content'] + '\n\n' %}"
    "{% set rest = messages[1:] %}{% else %}{% set head = '' %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}<turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ head if loop.first else '' }}{{ m['content'] }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% else %}{{ m['content'] }}</s>{% endif %}{% endfor %}"
)
REWRITES = (
    "{% for m in messages %}{% if m['role'] == 'user' %}U:{{ m['content'] }}\n{% elif loop.last %}A:<think>"
    "{{ m['content'] }}\n{% else %}A:{{ m['content'] }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}A:{% endif %}"
)
COUNTS = (
    "{% for m in messages %}{{ loop.index }} {{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
CHATS = [
    [("user", "How are you?")],
    [("system", "Speak French."), ("user", "{{ odd }}"), ("assistant", "Bien."), ("user", "Again,\nplease")],
    [("user", "One"), ("assistant", "Two"), ("user", "Three"), ("assistant", "Four"), ("user", "Five")],
]


def renderer(template):
    environment = jinja2.Environment()

    def refuse(text):
        raise jinja2.TemplateError(text)

    environment.globals["raise_exception"] = refuse
    compiled = environment.from_string(template)
    return lambda messages, answer: compiled.render(messages=messages, add_generation_prompt=answer)


def messages(chat):
    return [{"role": role, "content": content} for role, content in chat]


def as_ollama_renders(template, system, chat):
    """What Ollama makes of a template: the part of Go's language that is written here, by hand."""
    chat = list(chat)
    if system and chat[0][0] != "system":
        chat.insert(0, ("system", system))
    inner = re.fullmatch(
        r"{{ range \$i, \$_ := \.Messages }}{{ \$last := eq \(len \(slice \$\.Messages \$i\)\) 1 }}(.*){{ end }}",
        template,
        re.DOTALL,
    )[1]
    branches, answer = re.fullmatch(
        r'(.*?){{ end }}{{ if and \$last \(ne \.Role "assistant"\) }}(.*){{ end }}', inner, re.DOTALL
    ).groups()
    around = {}
    for part in re.split(r"{{ (?:else )?if eq ", branches)[1:]:
        role, text = re.fullmatch(r'\.Role "(\w+)" }}(.*)', part, re.DOTALL).groups()
        around[role] = re.sub(r"{{ if not \$last }}(.*){{ end }}", r"\1", text, flags=re.DOTALL)
    made = "".join(
        around[role].replace('{{ "{{" }}', "\0").replace("{{ .Content }}", content) if role in around else ""
        for role, content in chat
    )
    return (made + answer).replace("\0", "{{")


@pytest.mark.parametrize(("template", "begin"), [(CHATML, ""), (HEADERS, "<|begin|>")])
def test_pieces_give_what_the_template_gives(template, begin):
    render = renderer(template)
    pieces = take_apart(render, begin)
    assert pieces.system is not None and pieces.begin == begin
    for chat in CHATS:
        assert pieces.render(messages(chat)) == render(messages(chat), True)
        written = as_ollama_renders(go_template(pieces), pieces.default_system, chat)
        assert begin + written == render(messages(chat), True)  # the begin token is the file's


def test_a_default_system_text_is_the_modelfiles():
    pieces = take_apart(renderer(CHATML))
    assert pieces.default_system == "Be kind."
    text = modelfile("m.gguf", pieces, ["<|im_end|>"], [("temperature", 0)])
    assert text.startswith('FROM ./m.gguf\nTEMPLATE """')
    assert 'SYSTEM """Be kind."""' in text and 'PARAMETER stop "<|im_end|>"' in text
    assert text.endswith("PARAMETER temperature 0\n")


@pytest.mark.parametrize("template", [INTO_THE_FIRST_TURN, NO_SYSTEM])
def test_a_template_without_a_place_for_a_system_text_still_has_turns(template):
    render = renderer(template)
    pieces = take_apart(render, "<bos>")
    assert pieces.system is None
    for chat in (CHATS[0], CHATS[2]):
        assert pieces.render(messages(chat)) == render(messages(chat), True)


@pytest.mark.parametrize(
    ("template", "why"),
    [(REWRITES, "earlier turns otherwise"), (COUNTS, "otherwise"), ("{{ raise_exception('never') }}", "never")],
)
def test_a_template_that_does_more_is_refused_with_the_reason(template, why):
    with pytest.raises(NotInPiecesError, match=why):
        take_apart(renderer(template))


def test_braces_of_a_template_stay_text_in_gos_language():
    pieces = Pieces(("{{u}}", ""), ("", ""), "a")
    assert go_template(pieces).count('{{ "{{" }}u}}') == 1
