"""Where a model is: a pocket base, a folder, a step directory, or a hub model (fetched if allowed)."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

from recollect.core.workspace import check_model_step
from recollect.errors import ModelError
from recollect.shipped import SHIPPED

_HUB_SECONDS = 8  # the longest wait for a hub that does not answer


def find_model(name: str, revision: str | None = None) -> Path:
    """The local folder of a model; downloads a hub model only when the hub may be used. Raises ModelError.

    A model that a step made is checked byte by byte, once per process; StepError names a damaged file.
    """
    if name in SHIPPED:
        return SHIPPED[name].model
    try:
        path = Path(name).expanduser()
        is_folder, is_file = name != "" and path.is_dir(), path.is_file()
    except (OSError, RuntimeError) as error:  # a name too long; the home of an unknown user
        raise ModelError(f"no such model folder: {name:.200}: {error}. Give an existing folder.") from None
    if is_folder:
        manifest = path / "manifest.json"
        inner = path / "model"
        if manifest.is_file() and inner.is_dir():  # a train or pocket step directory
            check_model_step(inner)
            return inner
        check_model_step(path)
        return path
    if is_file:
        raise ModelError(f"{name} is a file; a model is a folder with config.json and *.safetensors.")
    if ".." in name or not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", name):
        raise ModelError(
            f"no such model folder: {name!r}. Give an existing folder, a Hugging Face name, 'pocket' or 'pocket-shop'."
        )
    return _from_hub(name, revision)


def _from_hub(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py", "*.tiktoken"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=True))
    except (OSError, ValueError):  # LocalEntryNotFoundError is an OSError
        pass
    where = f"there is no folder {name!r} here, and the hub model {name!r} is not in the local cache"
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
        raise ModelError(f"{where}; HF_HUB_OFFLINE forbids fetching it. Check the path, or unset HF_HUB_OFFLINE.")
    problem = _ask_hub(name, revision)
    if problem:
        raise ModelError(f"{where}; {problem}")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the network may go at any moment, in any library's words
        raise ModelError(f"the download of {name!r} failed: {first_line(error)}. Run it again.") from error


def _ask_hub(name: str, revision: str | None) -> str:
    """Why the hub cannot give the model; empty when it can. Waits `_HUB_SECONDS` at most.

    A thread of its own, since neither the look-up of the host's name nor the client's other questions keep to
    the timeout given.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    answers: list[str] = []

    def ask() -> None:
        try:
            HfApi().model_info(name, revision=revision, timeout=_HUB_SECONDS)
            answers.append("")
        except HfHubHTTPError as error:
            status = getattr(error.response, "status_code", "no answer")
            answers.append(f"the hub answered {status} for it. Check the name, or log in.")
        except Exception as error:  # no network: every client library has its own exception for it
            answers.append(f"the hub could not be reached ({type(error).__name__}). Check the path or the network.")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_HUB_SECONDS)
    silent = f"the hub did not answer within {_HUB_SECONDS} seconds. Check the path or the network."
    return answers[0] if answers else silent


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
