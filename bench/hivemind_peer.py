"""One peer of hivemind's `DecentralizedAverager`, driven by `bench.diloco_peers` over stdin and stdout.

Runs under a Python that has hivemind, which is none of our dependencies, and so imports nothing of ours:

    python bench/hivemind_peer.py VECTOR.npy PEERS COMPRESSION [MULTIADDRESS ...]

It says one JSON object per line: its addresses when it is ready, then for each line `step SECONDS` how the averaging
went. The average is written over VECTOR.npy.
"""

import json
import sys
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")

import hivemind  # noqa: E402
import hivemind.compression as compressions  # noqa: E402
import torch  # noqa: E402

TIMEOUT = 5.0  # seconds without a chunk until a peer counts as failed
COMPRESSIONS = {
    "none": compressions.NoCompression,
    "float16": compressions.Float16Compression,
    "uniform8": compressions.Uniform8BitQuantization,
}


def say(**content: object) -> None:
    print(json.dumps(content), flush=True)


def main() -> None:
    path, peers, compression, *known = sys.argv[1:]
    vector = torch.from_numpy(np.load(path))
    dht = hivemind.DHT(initial_peers=known or None, host_maddrs=["/ip4/127.0.0.1/tcp/0"], start=True)
    averager = hivemind.averaging.DecentralizedAverager(
        [vector.clone()],
        dht,
        start=True,
        prefix="bench",
        target_group_size=int(peers),
        min_group_size=2,
        # What its own docstring allows at the least: the wait for a group is part of the time.
        min_matchmaking_time=1.0,
        request_timeout=0.9,
        next_chunk_timeout=TIMEOUT,
        compression=COMPRESSIONS[compression](),
    )
    say(addresses=[str(each) for each in dht.get_visible_maddrs()], version=hivemind.__version__)
    for line in sys.stdin:
        word, seconds = line.split()
        if word != "step":
            break
        with averager.get_tensors() as tensors:
            tensors[0][:] = torch.from_numpy(np.load(path))
        begun = time.time()
        try:
            found = averager.step(timeout=float(seconds), allow_retries=False, wait=True)
            error = "" if found is not None else "no group was found"
        except Exception as reason:  # whatever it is, it is the result
            found, error = None, f"{type(reason).__name__}: {reason}"
        took = time.time() - begun
        with averager.get_tensors() as tensors:
            np.save(path + ".average.npy", tensors[0].numpy())
        say(seconds=took, begun=begun, group=0 if found is None else len(found), error=error)
    averager.shutdown()
    dht.shutdown()


if __name__ == "__main__":
    main()
