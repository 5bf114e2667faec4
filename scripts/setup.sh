#!/usr/bin/env bash
# Make .venv with Recollect and everything its tests need, at the pinned versions. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=…" >&2; exit 1; }
stamp=.venv/.recollect-installed
if [ ! -f "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ constraints.txt -nt "$stamp" ]; then
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  echo "installing into .venv: 2 to 4 minutes from the package index, more on a busy machine; nothing is shown until then" >&2
  # torch first, pinned: an unpinned torch brings gigabytes of CUDA packages to a machine without a GPU
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$(grep '^torch==' constraints.txt)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,dev,docs]'
  touch "$stamp"
fi
