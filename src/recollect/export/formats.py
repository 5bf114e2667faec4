"""The forms in which a model can be taken away, by the name that `--to` takes. A new one is a file and a line here."""

from __future__ import annotations

from recollect.export.adapter import Adapter
from recollect.export.exporter import Exporter
from recollect.export.gguf import Gguf
from recollect.export.merged import Merged
from recollect.export.mlx import Mlx
from recollect.export.ollama import Ollama
from recollect.export.vllm import Vllm

EXPORTERS: dict[str, Exporter] = {
    "merged": Merged(),
    "adapter": Adapter(),
    "gguf": Gguf(),
    "ollama": Ollama(),
    "mlx": Mlx(),
    "vllm": Vllm(),
}
