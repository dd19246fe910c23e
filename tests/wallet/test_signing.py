"""Drafts, their signatures, and the words that are made from the very bytes."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.address import address_of, to_text
from chain.crypto import ecdsa
from chain.crypto.votes import KIND_NAMES, Evidence
from chain.errors import BadSignature
from chain.fees import transaction_gas
from chain.transactions import (
    ACTIONS as KINDS,
)
from chain.transactions import (
    Bond,
    MultiTransfer,
    Payment,
    RegisterNode,
    RetireNode,
    ServicePayment,
    Transaction,
    Transfer,
    check_signature,
)
from tests.wallet.cases import (
    ACTIONS,
    BOB,
    CHAIN,
    FIRST,
    KEY,
    OTHER,
    OTHER_CHAIN,
    SECRET,
    WALLET,
    a_draft,
    drafted,
    unhurried,
)
from wallet.amounts import neuro
from wallet.errors import SigningError
from wallet.signing import (
    Fees,
    bond_action,
    described,
    draft,
    paid_by,
    read_signed,
    read_unsigned,
    retire_action,
    sign,
)


def words(raw: bytes, names: dict[bytes, str] | None = None, network: str = "") -> dict[str, str]:
    lines = described(raw, CHAIN, names, network)
    assert len({label for label, _ in lines}) == len(lines)
    return dict(lines)


def test_there_is_a_case_of_every_action() -> None:
    assert set(ACTIONS) == set(KINDS.values())


@pytest.mark.parametrize("kind", ACTIONS, ids=lambda kind: kind.__name__)
def test_every_action_is_signed_and_the_ledger_takes_the_signature(kind: type) -> None:
    unsigned = drafted(ACTIONS[kind](), 4)
    signed = sign(unsigned, SECRET)
    # An object that is decoded anew is checked anew.
    check_signature(Transaction.decode(signed.encode()), CHAIN)
    assert signed.id(CHAIN) == unsigned.id and signed.nonce == 4
    with pytest.raises(BadSignature):
        check_signature(Transaction.decode(signed.encode()), OTHER_CHAIN)
    assert read_signed(signed.encode(), CHAIN) == signed
    assert read_unsigned(unsigned.raw, CHAIN) == unsigned


@pytest.mark.parametrize("kind", ACTIONS, ids=lambda kind: kind.__name__)
def test_every_field_of_every_action_is_shown(kind: type) -> None:
    action = ACTIONS[kind]()
    text = "\n".join(f"{label}: {each}" for label, each in described(drafted(action, 4).raw, CHAIN, {BOB: "bob"}))
    for shown in shown_of(action):
        assert shown in text
    for part in (to_text(FIRST.address), KEY.hex(), CHAIN.hex(), "nonce: 4", drafted(action, 4).id.hex()):
        assert part in text


def shown_of(action: object) -> list[str]:
    """How each field has to appear, found by its kind and not by what the words do."""
    found: list[str] = []
    for each in fields(action):  # type: ignore[arg-type]
        value = getattr(action, each.name)
        match value:
            case bool():
                found.append("yes" if value else "no")
            case int() if each.name == "amount":
                found.append(neuro(value))
            case int() if each.name == "kind":
                found.append(KIND_NAMES[value])
            case int():
                found.append(str(value))
            case bytes() if each.name == "payee":
                found.append(to_text(value) + (" (bob)" if value == BOB else " (not in your book)"))
            case bytes():
                found.append(value.hex())
            case tuple():
                found += [text for item in value for text in shown_of(item)]
            case _:
                found += shown_of(value)
    return found


@pytest.mark.parametrize("kind", ACTIONS, ids=lambda kind: kind.__name__)
def test_whatever_byte_is_changed_the_words_change_or_there_are_none(kind: type) -> None:
    raw = drafted(ACTIONS[kind](), 4).raw
    before = described(raw, CHAIN)
    for position in range(len(raw)):
        bent = bytearray(raw)
        bent[position] ^= 1
        try:
            after = described(bytes(bent), CHAIN)
        except SigningError:
            continue
        # The id covers every byte; besides it some line must say what is different.
        assert [line for line in after if line[0] != "id"] != [line for line in before if line[0] != "id"]


def test_costs_are_shown_as_what_they_can_be_at_most() -> None:
    unsigned = a_draft(max_fee=250, tip=40)
    gas = transaction_gas(unsigned.transaction)
    shown = words(unsigned.raw)
    assert unsigned.gas == gas and unsigned.fee_maximum == gas * 250
    assert shown["fee at most"].startswith(f"{neuro(gas * 250)} ({gas} gas")
    assert shown["of it to the proposer at most"].startswith(neuro(gas * 40))
    assert shown["burned of the fee at most"] == neuro(gas * 250)
    assert shown["amount"] == "1.5 NEURO"


def test_amounts_have_all_their_digits() -> None:
    assert words(a_draft(Transfer(BOB, 1)).raw)["amount"] == "0.000000001 NEURO"
    assert words(a_draft(Transfer(BOB, 2**128 - 1)).raw)["amount"].replace(",", "") == (
        "340282366920938463463374607431.768211455 NEURO"
    )


def test_names_of_others_cannot_steer_a_terminal() -> None:
    shown = words(a_draft().raw, {BOB: "bob\x1b[2J"}, "net\x1b]0;x\x07" + "y" * 200)
    text = "".join(shown.values())
    assert text.isprintable() and "bob" in shown["to"] and len(shown["network"]) < 160


def test_paid_is_what_leaves_beside_the_fee() -> None:
    paid = {kind.__name__: paid_by(make()) for kind, make in ACTIONS.items()}
    assert {name: amount for name, amount in paid.items() if amount} == {
        "Transfer": 7, "MultiTransfer": 1 + 2**127, "Bond": 5, "ServicePayment": 11
    }  # fmt: skip


def test_another_key_than_the_senders_does_not_sign() -> None:
    for wrong in (OTHER.wallet_key(), WALLET.wallet_key(1), WALLET.node_key()):
        with pytest.raises(SigningError, match="not the sender"):
            sign(a_draft(), wrong)
    for wrong in (bytes(32), b"", bytes(33), b"\xff" * 32):
        with pytest.raises(SigningError):
            sign(a_draft(), wrong)


def test_a_signature_that_does_not_verify_is_never_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ecdsa, "sign", lambda *_: bytes(63) + b"\x01")
    with pytest.raises(SigningError, match="cannot be signed"):
        sign(a_draft(), SECRET)


def test_a_registration_without_the_nodes_word_is_not_signed() -> None:
    action = replace(ACTIONS[RetireNode](), node_signature=bytes(64))  # type: ignore[type-var]
    with pytest.raises(SigningError, match="did not agree"):
        sign(drafted(action), SECRET)  # type: ignore[arg-type]


@pytest.mark.parametrize(("nonce", "max_fee", "tip"), [(-1, 1, 0), (2**64, 1, 0), (0, -1, 0), (0, 2**64, 0), (0, 1, 2)])
def test_numbers_out_of_range_are_no_draft(nonce: int, max_fee: int, tip: int) -> None:
    with pytest.raises(SigningError):
        a_draft(nonce=nonce, max_fee=max_fee, tip=tip)


def test_numbers_up_to_their_limits_are_drafted() -> None:
    for number in (0, 2**64 - 1):
        made = a_draft(nonce=number, max_fee=number, tip=number).transaction
        assert (made.nonce, made.max_fee, made.tip) == (number, number, number)
        check_signature(sign(a_draft(nonce=number, max_fee=number, tip=number), SECRET), CHAIN)


@pytest.mark.parametrize(
    "action",
    [
        Transfer(BOB, -1),
        Transfer(BOB, 2**128),
        Transfer(b"\x01" + BOB[1:], 1),
        Transfer(BOB[:20], 1),
        MultiTransfer(()),
    ],
)
def test_what_no_ledger_could_read_is_no_draft(action: Transfer | MultiTransfer) -> None:
    with pytest.raises(SigningError):
        a_draft(action)


def test_a_multi_transfer_has_256_payments_at_most() -> None:
    most = tuple(Payment(BOB, number) for number in range(256))
    shown = words(a_draft(MultiTransfer(most)).raw)
    assert shown["action"] == "pay 256 addresses" and f"payment {256}" in shown
    with pytest.raises(SigningError):
        a_draft(MultiTransfer((*most, Payment(BOB, 1))))


def test_a_registration_pays_no_fee() -> None:
    action = ACTIONS[RegisterNode]()
    with pytest.raises(SigningError, match="stamp"):
        a_draft(action)
    assert words(drafted(action).raw)["fee"].startswith("none")


def test_a_bond_names_the_validators_own_word() -> None:
    action = bond_action(5, WALLET.validator_key(), FIRST.address, CHAIN)
    assert isinstance(action, Bond) and action.amount == 5
    assert bond_action(5, WALLET.validator_key(), BOB, CHAIN).possession != action.possession


def test_a_retirement_carries_the_nodes_word() -> None:
    action = retire_action(WALLET.node_key(3), KEY, CHAIN)
    check_signature(sign(a_draft(action), SECRET), CHAIN)
    assert action.node_key == ecdsa.public_key(WALLET.node_key(3))


def test_a_service_payment_says_that_a_share_is_burned() -> None:
    assert "5 %" in words(a_draft(ServicePayment(BOB, 100, bytes(32))).raw)["burned of the amount"]


def test_evidence_is_shown_with_both_votes() -> None:
    shown = words(drafted(ACTIONS[Evidence]()).raw)
    assert "NOTARIZE" in shown["first vote"] and shown["first vote"] != shown["second vote"]


@unhurried
@given(st.binary(max_size=300))
def test_any_bytes_are_a_draft_or_a_named_error(raw: bytes) -> None:
    for read in (lambda: read_unsigned(raw, CHAIN), lambda: described(raw, CHAIN), lambda: read_signed(raw, CHAIN)):
        with pytest.raises(SigningError):
            read()


@unhurried
@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_a_spoilt_transaction_is_a_named_error_or_another_draft(position: int, new: bytes) -> None:
    raw = sign(a_draft(), SECRET).encode()
    bent = raw[: position % len(raw)] + new + raw[position % len(raw) + len(new) :]
    if bent == raw:
        return
    with pytest.raises(SigningError):
        read_signed(bent, CHAIN)


@pytest.mark.parametrize("chain_id", [b"", bytes(31), bytes(33)])
def test_a_chain_id_has_32_bytes(chain_id: bytes) -> None:
    for read in (
        lambda: read_unsigned(a_draft().raw, chain_id),
        lambda: read_signed(sign(a_draft(), SECRET).encode(), chain_id),
        lambda: draft(Transfer(BOB, 1), KEY, 0, Fees(1), chain_id),
    ):
        with pytest.raises(SigningError, match="chain id"):
            read()


def test_more_bytes_than_a_transaction_may_have_are_not_decoded() -> None:
    with pytest.raises(SigningError, match="at most 32768"):
        read_unsigned(bytes(32_768 - 63), CHAIN)
    with pytest.raises(SigningError, match="at most 32768"):
        read_signed(bytes(32_769), CHAIN)


def test_the_sender_is_the_address_of_its_key() -> None:
    assert words(a_draft().raw, {FIRST.address: "me"})["from"] == f"{to_text(address_of(KEY))} (me)"
