#!/usr/bin/env bash
# The fast tests under the lowest versions that pyproject.toml allows, in .venv-lowest. Takes the arguments of pytest.
# Needs about 7 GB: torch 2.8.0 comes with its CUDA packages. Warnings are shown and no errors: old libraries warn of new ones.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
[ -x .venv-lowest/bin/python ] || "$python" -m venv .venv-lowest
.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt -e '.[test]'
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec .venv-lowest/bin/python -m pytest -W default "$@"
