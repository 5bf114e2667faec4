#!/usr/bin/env bash
# Install what is needed into .venv and run the main job on the shipped pocket model. Takes the arguments of `recollect demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
.venv/bin/recollect demo "$@"  # no exec: a process's age is said as the time until it was ready
