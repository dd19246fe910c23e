"""Which libraries the node computes and stores with: the fast ones that are there, or what the environment asks for.

NEUROSHARD_BLS, NEUROSHARD_ECDSA and NEUROSHARD_STORE force one, for a machine on which the usual one misbehaves, and
for the tests of the slow ones. They are no settings of a node: every command obeys them.
"""

from collections.abc import Mapping

from chain.crypto import bls, ecdsa
from node.errors import NodeError

# By variable, what may stand in it besides `auto`.
CHOICES = {
    "NEUROSHARD_BLS": ("pyblst", "py_ecc"),
    "NEUROSHARD_ECDSA": ("coincurve", "cryptography"),
    "NEUROSHARD_STORE": ("leveldb", "lmdb"),
}


def asked(variable: str, environment: Mapping[str, str]) -> str | None:
    """What the environment asks for, None for `auto` or nothing. Raises NodeError."""
    wish = environment.get(variable, "auto").strip() or "auto"
    if wish != "auto" and wish not in CHOICES[variable]:
        raise NodeError(f"{variable} is {wish!r}: give auto, {' or '.join(CHOICES[variable])}")
    return None if wish == "auto" else wish


def choose(environment: Mapping[str, str]) -> None:
    """Use what the environment asks for. Raises NodeError if that is unknown or not installed."""
    asked("NEUROSHARD_STORE", environment)
    for variable, use in (("NEUROSHARD_BLS", bls.use), ("NEUROSHARD_ECDSA", ecdsa.use)):
        wish = asked(variable, environment)
        try:
            if wish is not None:
                use(wish)
        except ImportError as error:
            raise NodeError(
                f"{variable} asks for {wish}, which is not installed: unset it, or install {wish}"
            ) from error
