#!/bin/sh
# The calibration of audits on a machine with one GPU, many cores, Python, torch and numpy, and nothing else of ours.
#   bench/calibrate_gpu.sh DATA OUT SECONDS [REFERENCE]
# DATA is what bench.lab.export wrote, REFERENCE what bench.calibration.reference made on another machine. Results are
# appended to OUT/*.jsonl line by line, and it ends by itself in about SECONDS.
set -u
data=$1 out=$2 seconds=$3 reference=${4:-}
python=${PYTHON:-python3}
jobs=${JOBS:-14}
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
mkdir -p "$out"
grep -m1 "model name" /proc/cpuinfo
"$python" -m bench.calibration.gpu --device "${DEVICE:-cuda}" --data "$data" --out "$out" \
  --seconds $((seconds - 25)) > "$out/gpu.log" 2>&1 &
gpu=$!
if [ -n "$reference" ]; then
  "$python" -m bench.calibration.reference check --data "$data" --file "$reference" --out "$out/reference.jsonl" \
    > "$out/reference.log" 2>&1 &
fi
# Trajectories of this machine are others than those of the first one.
"$python" -m bench calibrate --data "$data" --out "$out" --jobs "$jobs" --first "${FIRST:-1000}" \
  --budget-seconds $((seconds - 20))
wait
tail -n 5 "$out"/*.log
wc -l "$out"/*.jsonl
