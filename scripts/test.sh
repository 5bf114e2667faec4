#!/usr/bin/env bash
# Everything a change must pass: formatting, lint, types, the directions of imports, tests. Takes the arguments of pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
.venv/bin/ruff format --check --quiet src tests benchmarks examples scripts
.venv/bin/ruff check --quiet src tests benchmarks examples scripts
.venv/bin/mypy
.venv/bin/lint-imports --no-cache --no-logo
exec .venv/bin/python -m pytest "$@"
