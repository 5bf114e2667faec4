"""A process that asks a GGUF file through llama-cpp-python: a question set as JSON on stdin, the answers on stdout.

A process of its own, since llama.cpp ends the process where it meets a file that it cannot run. A chat goes through the
template inside the file; nothing but the most likely token is taken, without penalties.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Answer what stands on stdin."""
    from llama_cpp import Llama  # type: ignore[import-not-found, unused-ignore]

    asked = json.load(sys.stdin)
    threads = int(asked["threads"])
    model = Llama(
        model_path=asked["path"], n_ctx=int(asked["context"]), n_threads=threads, n_threads_batch=threads, verbose=False
    )
    how = {"temperature": 0.0, "top_k": 1, "repeat_penalty": 1.0, "max_tokens": int(asked["max_new_tokens"])}
    answers = []
    for prompt in asked["prompts"]:
        if prompt["messages"]:
            found = model.create_chat_completion(messages=prompt["messages"], **how)
            answers.append(found["choices"][0]["message"]["content"] or "")
        else:
            answers.append(model.create_completion(prompt["text"], **how)["choices"][0]["text"])
    sys.stdout.write("\n" + json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
