"""Chat templates with the peculiarities of the published families, in short words of our own, and tokenizers for them.

Each family names what its template does that another does not. The tokenizers are made on the spot: byte-level ones as
Qwen and Llama 3 have them, SentencePiece's kind with bytes as Llama 2, Mistral, Gemma and Phi-3 do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from recollect.conversation import Conversation, ToolCall, Turn

TEXTS = [
    "What is the capital of Peru? Lima",
    "user assistant system tool",
    "And of Chile? Santiago de Chile",
    "1234567890",
]
AREA = {
    "type": "function",
    "function": {
        "name": "area",
        "description": "Area of a country.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


@dataclass(frozen=True)
class Family:
    """A template, the control tokens it writes, and the make of tokenizer it comes with."""

    template: str
    control: tuple[str, ...]
    end: str
    begin: str = "<s>"
    words: tuple[str, ...] = ()
    """Added tokens that are no control tokens: <think>."""
    pieces: bool = False
    """SentencePiece's kind."""
    named: dict[str, str] = field(default_factory=dict)
    """Other templates beside the default one, by name."""


_CHATML = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nBe of help.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_HERMES = (
    "{% if tools %}<|im_start|>system\nTools:{% for t in tools %}{{ '\n' }}{{ t | tojson }}{% endfor %}<|im_end|>\n"
    "{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}"
    "{% if loop.first or messages[loop.index0 - 1].role != 'tool' %}<|im_start|>user{% endif %}"
    "{{ '\n' }}<tool_response>\n{{ m.content }}\n</tool_response>"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}<|im_end|>\n{% endif %}"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}"
    "{% if m.content or not loop.first %}{{ '\n' }}{% endif %}<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}'
    "<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_QWEN3 = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}<|im_start|>{{ 'user' if m.role == 'tool' else m.role }}\n"
    "{% if m.role == 'assistant' and loop.index0 > ns.last and (loop.last or m.reasoning_content) %}<think>\n"
    "{{ m.reasoning_content or '' }}\n</think>\n\n{% endif %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ '\n' }}<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
_LLAMA2 = (
    "{% set first = messages[0] %}{% set rest = messages[1:] if first.role == 'system' else messages %}"
    "{% for m in rest %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must take turns.') }}{% endif %}{% if m.role == 'user' %}{{ bos_token }}[INST] "
    "{% if loop.first and first.role == 'system' %}<<SYS>>\n{{ first.content }}\n<</SYS>>\n\n{% endif %}"
    "{{ m.content.strip() }} [/INST]{% else %} {{ m.content.strip() }} {{ eos_token }}{% endif %}{% endfor %}"
)
_LLAMA3 = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_LLAMA31 = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nToday: {{ strftime_now('%d %b %Y') }}\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% set messages = messages[1:] %}{% endif %}"
    "<|eot_id|>"
    "{% for m in messages %}{% if m.role == 'tool' %}<|start_header_id|>ipython<|end_header_id|>\n\n"
    "{{ m.content | tojson }}<|eot_id|>{% elif m.tool_calls %}"
    "{% if m.tool_calls | length > 1 %}{{ raise_exception('One call a turn.') }}{% endif %}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
    '{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}'
    "<|eot_id|>{% else %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
    "{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('user and assistant must alternate') }}{% endif %}"
    "{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
_GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('No system turn here') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_PHI3 = (
    "{% for m in messages %}{% if m.role != 'tool' %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
_R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}"
    "<|User|>{{ m.content }}{% else %}<|Assistant|>{{ m.content.split('</think>')[-1] }}<|end_of_text|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}"
)
_V3 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|User|>{{ m.content }}{% elif m.role == 'tool' %}"
    "<|output|>{{ m.content }}<|output_end|>{% elif m.tool_calls %}<|Assistant|>{{ m.content }}"
    "{% for c in m.tool_calls %}{{ '<|call|>' + c.function.name + '\n' + c.function.arguments + '<|call_end|>' }}"
    "{% endfor %}<|end_of_text|>{% else %}{% if messages[loop.index0 - 1].role != 'tool' %}<|Assistant|>{% endif %}"
    "{{ m.content }}<|end_of_text|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt and messages[-1].role != 'tool' %}<|Assistant|>{% endif %}"
)
_SMOLLM3 = (
    "{% set thinking = enable_thinking is not defined or enable_thinking %}<|im_start|>system\n"
    "Date: {{ strftime_now('%d %B %Y') }}\nMode: {{ '/think' if thinking else '/no_think' }}\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}<|im_end|>\n"
    "{% for m in messages %}{% if m.role == 'user' %}<|im_start|>user\n{{ m.content }}<|im_end|>\n"
    "{% elif m.role == 'assistant' %}<|im_start|>assistant\n{% generation %}"
    "{% if thinking %}{{ m.content }}<|im_end|>\n{% else %}<think>\n\n</think>\n{{ m.content }}<|im_end|>\n{% endif %}"
    "{% endgeneration %}{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not thinking %}<think>\n\n</think>\n{% endif %}{% endif %}"
)
_GRANITE = (
    "{% if messages[0].role != 'system' %}<|start_of_role|>system<|end_of_role|>You help.<|end_of_text|>\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'assistant' and m.tool_calls %}<|start_of_role|>assistant<|end_of_role|>"
    "<|tool_call|>[{% for c in m.tool_calls %}{{ c.function | tojson }}{{ ', ' if not loop.last }}{% endfor %}]"
    "{% else %}<|start_of_role|>{{ 'tool_response' if m.role == 'tool' else m.role }}<|end_of_role|>{{ m.content }}"
    "{% endif %}<|end_of_text|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
)
_COMMAND = (
    "{{ bos_token }}{% for m in messages %}<|START_OF_TURN|>{{ {'user': '<|USER|>', 'assistant': '<|CHATBOT|>',"
    " 'system': '<|SYSTEM|>'}[m.role] }}{{ m.content.strip() }}<|END_OF_TURN|>{% endfor %}"
    "{% if add_generation_prompt %}<|START_OF_TURN|><|CHATBOT|>{% endif %}"
)
_GLM = (
    "[gMASK]<sop>{% for m in messages %}{% if m.role == 'tool' %}<|observation|>\n{{ m.content }}{% else %}"
    "<|{{ m.role }}|>\n{% if m.reasoning_content and loop.last %}<think>{{ m.reasoning_content }}</think>\n{% endif %}"
    "{{ m.content }}{% for c in m.tool_calls or [] %}{{ '\n' }}<tool_call>{{ c.function.name }}\n"
    "{{ c.function.arguments | tojson }}</tool_call>{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_OSS = (
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% if m.thinking and loop.last %}<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>"
    "{% endif %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}{{ '<|return|>' if loop.last else '<|end|>' }}"
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
_PARTS = (
    "{% for m in messages %}{{ m.role | capitalize }}: {% for part in m.content %}{% if part.type == 'text' %}"
    "{{ part.text }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
_WORDS = (
    "{% for m in messages %}{% if m.role == 'user' %}### Instruction:\n{{ m.content }}\n\n{% else %}### Response:\n"
    "{{ m.content }}\n\n{% endif %}{% endfor %}{% if add_generation_prompt %}### Response:\n{% endif %}"
)
_IM = ("<|im_start|>", "<|im_end|>")
_HEADERS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
_CALLS = ("<tool_call>", "</tool_call>", "<think>", "</think>")
FAMILIES: dict[str, Family] = {
    "ChatML": Family(_CHATML, _IM, "<|im_end|>"),
    "Hermes, with tools": Family(_HERMES, _IM, "<|im_end|>", words=_CALLS),
    "Qwen3": Family(_QWEN3, _IM, "<|im_end|>", words=_CALLS),
    "Llama 2": Family(_LLAMA2, (), "</s>", pieces=True),
    "Llama 3": Family(_LLAMA3, _HEADERS, "<|eot_id|>", "<|begin_of_text|>"),
    "Llama 3.1": Family(_LLAMA31, _HEADERS, "<|eot_id|>", "<|begin_of_text|>"),
    "Mistral": Family(_MISTRAL, ("[INST]", "[/INST]"), "</s>", pieces=True),
    "Gemma": Family(_GEMMA, ("<start_of_turn>", "<end_of_turn>"), "<eos>", "<bos>", pieces=True),
    "Phi-3": Family(_PHI3, ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"), "<|endoftext|>", pieces=True),
    "R1": Family(_R1, ("<|User|>", "<|Assistant|>"), "<|end_of_text|>", words=("<think>", "</think>")),
    "DeepSeek V3": Family(
        _V3,
        ("<|User|>", "<|Assistant|>", "<|output|>", "<|output_end|>", "<|call|>", "<|call_end|>"),
        "<|end_of_text|>",
    ),
    "SmolLM3": Family(_SMOLLM3, _IM, "<|im_end|>", words=("<think>", "</think>")),
    "Granite": Family(_GRANITE, ("<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"), "<|end_of_text|>"),
    "Command R": Family(
        _COMMAND, ("<|START_OF_TURN|>", "<|END_OF_TURN|>", "<|USER|>", "<|CHATBOT|>", "<|SYSTEM|>"), "<|END_OF_TURN|>"
    ),
    "GLM": Family(
        _GLM,
        ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        "<|endoftext|>",
        words=_CALLS,
    ),
    "gpt-oss": Family(_OSS, ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>"), "<|return|>"),
    "parts of content": Family(_PARTS, ("<end_of_utterance>",), "<end_of_utterance>"),
    "words alone": Family(_WORDS, (), "</s>"),
    "two by name": Family(_CHATML, _IM, "<|im_end|>", words=_CALLS, named={"tool_use": _HERMES}),
}
"""By name of the family whose peculiarities they have."""


@cache
def trained_letters(pieces: bool) -> str:
    """A tokenizer without control tokens, as JSON."""
    if pieces:
        raw = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        raw.normalizer = normalizers.Replace(" ", "▁")
        raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        letters = [f"<0x{byte:02X}>" for byte in range(256)]
        alphabet = sorted({letter for text in TEXTS for letter in text})
        trainer = trainers.BpeTrainer(
            vocab_size=420, special_tokens=["<unk>", *letters], initial_alphabet=alphabet, show_progress=False
        )
    else:
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator(TEXTS * 3, trainer)
    written = json.loads(raw.to_str())  # bytes are ordinary tokens in published files, not special ones
    written["added_tokens"] = [token for token in written["added_tokens"] if token["content"] == "<unk>"]
    return json.dumps(written)


def chat_tokenizer(family: str | Family) -> PreTrainedTokenizerFast:
    """A tokenizer with the template of a family."""
    made = FAMILIES[family] if isinstance(family, str) else family
    raw = Tokenizer.from_str(trained_letters(made.pieces))
    raw.add_special_tokens([*dict.fromkeys((made.begin, made.end, *made.control))])
    raw.add_tokens([AddedToken(word, normalized=False) for word in made.words])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=made.begin, eos_token=made.end, pad_token=made.end
    )
    tokenizer.chat_template = {"default": made.template, **made.named} if made.named else made.template
    return tokenizer


def write_chat_model(folder: Path, family: str | Family = "ChatML", seed: int = 0) -> Path:
    """A tiny random Llama with the tokenizer and the template of a family, as a folder."""
    tokenizer = chat_tokenizer(family)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


ONE = Conversation("one", (Turn("user", "What is the capital of Peru?"), Turn("assistant", "Lima")))
TWO = Conversation("two", (*ONE.turns, Turn("user", "And of Chile?"), Turn("assistant", "Santiago")))
SYSTEM = Conversation("system", (Turn("system", "Be brief."), *TWO.turns))
THOUGHT = Conversation(
    "thought",
    (ONE.turns[0], Turn("assistant", "Lima", "Peru, so"), TWO.turns[2], Turn("assistant", "Santiago", "Chile, so")),
)
TOOLS = Conversation(
    "tools",
    (
        Turn("user", "Area of Peru?"),
        Turn("assistant", "", tool_calls=(ToolCall("area", {"place": "Peru"}),)),
        Turn("tool", "1285", name="area"),
        Turn("assistant", "1285 thousand"),
    ),
    tools=(AREA,),
)
