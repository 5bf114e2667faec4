"""What transformers says while it loads: kept quiet where we check what matters, put into our words where it fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recollect.errors import ModelError, input_fault
from recollect.models.files import first_line


def not_loaded(
    folder: Path, error: Exception, what: str = "could not be loaded as a causal language model"
) -> ModelError:
    """The refusal of a folder that transformers cannot load."""
    fault = input_fault(error)
    if fault is not None:
        return ModelError(f"{folder} {what}: {fault}")
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    detail = f" {lines[1]}" if len(lines) > 1 and lines[0].endswith(":") else ""
    kind = "" if len(first_line(error).split()) > 1 else f"{type(error).__name__} "  # a KeyError says the key alone
    said = f"{kind}{first_line(error)}{detail[:300]}".rstrip(". ")
    return ModelError(f"{folder} {what}: {said}. Check its JSON files, or fetch the model again.")


@contextmanager
def quiet() -> Iterator[None]:
    """While it is open, transformers prints neither warnings nor progress bars: what matters is checked here."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with without_bars(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


@contextmanager
def without_bars() -> Iterator[None]:
    """While it is open, transformers draws no progress bars, as it does when it writes a model too."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
