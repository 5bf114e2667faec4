#!/usr/bin/env bash
# Everything a change must pass: formatting, lint, types, the directions of imports, tests. Takes the arguments of pytest.
# With --real first, also the tests on a real model, which is fetched once (`recollect models get smollm2`).
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
marked=()
if [ "${1:-}" = "--real" ]; then
  shift
  export RECOLLECT_REAL=1
  marked=(-m "not gpu and not slow")
else
  export HF_HUB_OFFLINE=1
fi
export TOKENIZERS_PARALLELISM=false
.venv/bin/ruff format --check --quiet src tests benchmarks examples scripts
.venv/bin/ruff check --quiet src tests benchmarks examples scripts
.venv/bin/mypy
.venv/bin/lint-imports --no-cache --no-logo
# one process a core, each with one thread: two torch processes with two threads each slow each other many times over
export OMP_NUM_THREADS=1
# in the order of tests/conftest.py, which puts the slow files first
exec .venv/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder ${marked[@]+"${marked[@]}"} "$@"
