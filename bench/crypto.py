"""What a signature costs to check, with each library that may serve.

.venv/bin/python -m bench crypto
"""

import argparse
import time
from collections.abc import Callable

from bench.figure import report
from chain.crypto import bls, ecdsa
from chain.crypto.hashing import tagged_hash

DIGEST = tagged_hash("bench", b"digest")
SIGNERS = 128
BATCHES = 5


def best_ms(check: Callable[[], bool], repetitions: int) -> float:
    """Milliseconds of one call: the best of a few batches of `repetitions` calls."""
    best = float("inf")
    for _ in range(BATCHES):
        begun = time.perf_counter()
        for _ in range(repetitions):
            if not check():
                raise SystemExit("a good signature was refused")
        best = min(best, (time.perf_counter() - begun) * 1000 / repetitions)
    return best


def ecdsa_ms(library: str, repetitions: int) -> float:
    ecdsa.use(library)
    key, signature = ecdsa.public_key(DIGEST), ecdsa.sign(DIGEST, DIGEST)
    return best_ms(lambda: ecdsa.verify(key, DIGEST, signature), repetitions)


def main(arguments: list[str]) -> None:
    argparse.ArgumentParser(prog="bench crypto").parse_args(arguments)
    portable_ms = ecdsa_ms("cryptography", 100)
    report("ecdsa_verify_ms", ecdsa_ms("coincurve", 1000), "ms", portable_ms, "coincurve; reference: cryptography")

    bls.use("pyblst")
    secrets = range(1, SIGNERS + 1)
    keys = [bls.public_key(secret) for secret in secrets]
    signatures = [bls.sign(secret, DIGEST) for secret in secrets]
    total = bls.aggregate(signatures)
    one_ms = best_ms(lambda: bls.verify(keys[0], DIGEST, signatures[0]), 50)
    # The first batch fills the cache of keys; the best one finds it full.
    all_ms = best_ms(lambda: bls.fast_aggregate_verify(keys, DIGEST, total), 50)

    bls.use("py_ecc")
    begun = time.perf_counter()
    if not bls.verify(keys[0], DIGEST, signatures[0]):
        raise SystemExit("py_ecc refuses a signature of pyblst")
    reference_ms = (time.perf_counter() - begun) * 1000
    report("bls_verify_ms", one_ms, "ms", reference_ms, "pyblst; reference: py_ecc, one call")
    report(
        f"bls_fast_aggregate_verify_{SIGNERS}_ms",
        all_ms,
        "ms",
        one_ms,
        f"pyblst, one message, {SIGNERS} cached keys; reference: one signer",
    )
