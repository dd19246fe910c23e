"""Validator signatures. The reference back end is slow, so each of its rules is tried once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.crypto import bls, bls_fast
from chain.errors import BadSignature

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "bls.json").read_text())
SIGNATURES = VECTORS["signatures"]
INFINITE_KEY = b"\xc0" + bytes(47)
INFINITE_SIGNATURE = b"\xc0" + bytes(95)
KEYS = [bls.public_key(secret) for secret in (1, 2, 3)]
MESSAGE = b"a block"


@pytest.fixture(autouse=True)
def _leave_as_found() -> Iterator[None]:
    found = bls.back_end()
    yield
    bls.use(found)


@pytest.fixture(params=["pyblst", "py_ecc"])
def back_end(request: pytest.FixtureRequest) -> str:
    bls.use(request.param)
    return str(request.param)


def cases(back_end: str, vectors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All vectors for the fast back end, the last one for the slow one."""
    return vectors if back_end == "pyblst" else vectors[-1:]


def hexed(text: str) -> bytes:
    return bytes.fromhex(text)


def test_published_signatures_are_made_and_accepted(back_end: str) -> None:
    for case in cases(back_end, SIGNATURES):
        assert bls.public_key(hexed(case["secret"])).hex() == case["public_key"]
        assert bls.public_key(int(case["secret"], 16)).hex() == case["public_key"]
        assert bls.sign(hexed(case["secret"]), hexed(case["message"])).hex() == case["signature"]
        assert bls.verify(hexed(case["public_key"]), hexed(case["message"]), hexed(case["signature"]))


def test_published_aggregates_are_made_and_accepted(back_end: str) -> None:
    keys = [hexed(case["public_key"]) for case in SIGNATURES[:9:3]]
    for case in cases(back_end, VECTORS["aggregates"]):
        total = bls.aggregate([hexed(signature) for signature in case["signatures"]])
        assert total.hex() == case["aggregate"]
        assert bls.fast_aggregate_verify(keys, hexed(case["message"]), total)


def test_proofs_of_possession_match_the_vectors(back_end: str) -> None:
    for case in cases(back_end, VECTORS["proofs"]):
        proof = bls.prove_possession(hexed(case["secret"]))
        assert proof.hex() == case["proof"]
        assert bls.verify_possession(hexed(case["public_key"]), proof)


def test_a_proof_of_possession_is_not_a_signature_of_the_key() -> None:
    assert bls.verify_possession(KEYS[0], bls.prove_possession(1))
    assert not bls.verify_possession(KEYS[0], bls.sign(1, KEYS[0]))
    assert not bls.verify(KEYS[0], KEYS[0], bls.prove_possession(1))
    assert not bls.verify_possession(KEYS[1], bls.prove_possession(1))


def test_an_aggregate_needs_exactly_its_signers() -> None:
    total = bls.aggregate([bls.sign(secret, MESSAGE) for secret in (1, 2, 3)])
    assert bls.fast_aggregate_verify(KEYS, MESSAGE, total)
    assert bls.fast_aggregate_verify(KEYS[::-1], MESSAGE, total)
    for wrong in (KEYS[:2], [*KEYS, KEYS[0]], [KEYS[0], KEYS[0], KEYS[2]]):
        assert not bls.fast_aggregate_verify(wrong, MESSAGE, total)
    assert not bls.fast_aggregate_verify(KEYS, b"another block", total)


def test_nobody_has_signed_nothing(back_end: str) -> None:
    assert not bls.fast_aggregate_verify([], MESSAGE, INFINITE_SIGNATURE)
    assert not bls.fast_aggregate_verify([], MESSAGE, bytes(96))
    assert not bls.fast_aggregate_verify([], MESSAGE, bls_fast.sign(1, MESSAGE))
    with pytest.raises(BadSignature):
        bls.aggregate([])


def test_infinity_signs_for_nobody(back_end: str) -> None:
    assert not bls.verify(INFINITE_KEY, MESSAGE, INFINITE_SIGNATURE)
    assert not bls.verify_possession(INFINITE_KEY, INFINITE_SIGNATURE)
    assert not bls.fast_aggregate_verify([*KEYS, INFINITE_KEY], MESSAGE, bls_fast.sign(1, MESSAGE))
    with pytest.raises(BadSignature):
        bls.aggregate([bls_fast.sign(1, MESSAGE), INFINITE_SIGNATURE])


def test_keys_that_cancel_each_other_sign_nothing(back_end: str) -> None:
    opposite = bls_fast.public_key(bls.GROUP_ORDER - 1)
    assert opposite[1:] == KEYS[0][1:]
    assert not bls.fast_aggregate_verify([KEYS[0], opposite], MESSAGE, bls_fast.sign(1, MESSAGE))


def test_signatures_that_cancel_each_other_make_no_aggregate(back_end: str) -> None:
    with pytest.raises(BadSignature):
        bls.aggregate([bls_fast.sign(1, MESSAGE), bls_fast.sign(bls.GROUP_ORDER - 1, MESSAGE)])


def test_points_outside_the_subgroup_are_refused(back_end: str) -> None:
    key, signature = (hexed(VECTORS["outside_subgroup"][group]) for group in ("g1", "g2"))
    good = bls_fast.sign(1, MESSAGE)
    assert not bls.verify(key, MESSAGE, good)
    assert not bls.verify(KEYS[0], MESSAGE, signature)
    assert not bls.verify_possession(key, bls_fast.prove_possession(1))
    with pytest.raises(BadSignature):
        bls.aggregate([good, signature])


@pytest.mark.parametrize("top", range(8))
def test_only_the_flags_100_and_101_reach_a_library(top: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bls.use("pyblst")
    asked = []
    monkeypatch.setattr(bls_fast, "fast_aggregate_verify", lambda *given: asked.append(given) or True)
    key, signature = bytes([top << 5]) + bytes(47), bytes([top << 5]) + bytes(95)
    wanted = top in (0b100, 0b101)
    assert bls.verify(KEYS[0], MESSAGE, signature) is wanted
    assert bls.verify(key, MESSAGE, bls_fast.sign(1, MESSAGE)) is wanted
    assert len(asked) == 2 * wanted


def test_coordinates_beyond_the_field_are_refused(back_end: str) -> None:
    for beyond in (b"\x9f" + b"\xff" * 47, b"\x9a" + KEYS[0][1:]):
        assert not bls.verify(beyond, MESSAGE, bls_fast.sign(1, MESSAGE))
        with pytest.raises(BadSignature):
            bls.aggregate([beyond + bytes(48)])


def test_the_second_half_of_a_signature_has_no_flags_to_vary(back_end: str) -> None:
    good = bls_fast.sign(1, MESSAGE)
    for flag in (0x80, 0x40, 0x20):
        assert not bls.verify(KEYS[0], MESSAGE, good[:48] + bytes([good[48] ^ flag]) + good[49:])


def test_a_secret_out_of_range_is_refused() -> None:
    for secret in (0, bls.GROUP_ORDER, -1, bytes(32), bls.GROUP_ORDER.to_bytes(32, "big"), b"\x01", b""):
        for call in (bls.public_key, bls.prove_possession, lambda raw: bls.sign(raw, MESSAGE)):
            with pytest.raises(BadSignature):
                call(secret)
    assert len(bls.public_key(bls.GROUP_ORDER - 1)) == 48


def test_the_cache_of_parsed_keys_is_bounded() -> None:
    assert bls_fast._key_point.cache_info().maxsize == bls_fast.CACHED_KEYS
    for _ in range(2):
        assert not bls.verify(b"\x80" + bytes(47), MESSAGE, bls.sign(1, MESSAGE))


almost = st.binary(max_size=100) | st.binary(min_size=48, max_size=48).map(
    lambda raw: bytes([raw[0] & 63 | 128]) + raw[1:]
)


@settings(max_examples=60, deadline=None)
@given(almost, st.binary(max_size=40), almost | st.binary(min_size=95, max_size=95).map(lambda raw: b"\xa0" + raw))
def test_strange_bytes_never_verify_and_never_raise(key: bytes, message: bytes, signature: bytes) -> None:
    assert not bls.verify(key, message, signature)
    assert not bls.verify_possession(key, signature)
    assert not bls.verify(KEYS[0], message, signature)
    with pytest.raises(BadSignature):
        bls.aggregate([signature])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 767))
def test_no_bit_of_a_signature_can_be_turned(bit: int) -> None:
    good = bls.sign(7, MESSAGE)
    bent = (int.from_bytes(good, "big") ^ 1 << bit).to_bytes(96, "big")
    assert not bls.verify(bls.public_key(7), MESSAGE, bent)
