#!/usr/bin/env bash
# Installs the peers of table.py from their registries, as the lock files have them.
set -euo pipefail
cd "$(dirname "$0")"
for folder in yjs sharedb; do
  (cd "$folder" && npm ci --legacy-peer-deps --no-fund --no-audit --loglevel=error)
done
python3 -m venv pycrdt/venv
pycrdt/venv/bin/pip install --quiet --requirement pycrdt/requirements.txt
cargo install --quiet --locked --root y-sweet y-sweet@0.9.1
