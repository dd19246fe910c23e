#!/bin/sh
# The experiments of the lab on a machine with one GPU, Python, torch and numpy, and nothing else of ours.
#   bench/lab/gpu.sh smoke DATA OUT SECONDS    the tests, the pace, and the tuning of eight replicas
#   bench/lab/gpu.sh main DATA OUT SECONDS     all of convergence that fits; goes on from OUT/convergence.jsonl
# DATA is what bench.lab.export wrote; results are appended to OUT/convergence.jsonl line by line.
set -u
part=$1 data=$2 out=$3 seconds=$4
python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$out"
if [ "$part" = smoke ]; then
  "$python" -m pytest -q --noconftest -p no:cacheprovider tests/bench/test_lab_*.py 2>&1 | tail -15
  "$python" -m bench.lab.smoke --device cuda --data "$data" --rows 64 512 --steps 60 2>&1 | tail -25
  "$python" -m bench convergence --device cuda --data "$data" --out "$out/convergence.jsonl" \
    --tune-only --replicas 8 --budget-seconds "$seconds" 2>&1 | tail -15
else
  "$python" -m bench convergence --device cuda --data "$data" --out "$out/convergence.jsonl" \
    --tune --compile --budget-seconds "$seconds" 2>&1 | tail -25
fi
