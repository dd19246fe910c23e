"""Records of audits in every phase, put into a ledger's state as its rules leave them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chain.address import address_of
from chain.attestations import open_poll
from chain.audit_inputs import answer_subject
from chain.audit_messages import NO_FINDING, StateParts
from chain.block import Validator
from chain.crypto import bls, ecdsa
from chain.crypto.hashing import ZERO
from chain.genesis import Network
from chain.plants import is_planted
from chain.stakes import ValidatorKey, validator_key
from chain.state import (
    AUDITS_KEY,
    PASSED,
    Assigned,
    Audit,
    AuditName,
    AuditQueue,
    Claim,
    State,
    Tally,
    ValidatorSet,
    audit_key,
    claim_key,
    set_key,
)
from node.data_directory import DataDirectory
from node.key_value import open_key_value
from tests.node.lone_node import IDENTITY, LoneNode, named, tiny_network
from tests.node.served import remember_votes

SET_EPOCH = 9_999  # no epoch of any test: its set is put there by hand
AUDITORS = 4
NO_PARTS = StateParts(ZERO, ZERO, ZERO)
SEGMENT = 2


def auditor_wallet(place: int) -> bytes:
    return address_of(ecdsa.public_key(named(f"auditor {place}")))


def seat_auditors(state: State) -> None:
    """A set of strangers with a hundred NEURO each, in which our wallet has no part."""
    keys = sorted(bls.public_key(900 + place) for place in range(AUDITORS))
    state.put(set_key(SET_EPOCH), ValidatorSet(tuple(Validator(key, 100 * 10**9) for key in keys)))
    for place, key in enumerate(keys):
        state.put(validator_key(key), ValidatorKey(auditor_wallet(place), False))


def an_auditor(validator: int, attempt: int = 1, finding: int = NO_FINDING, committed: bool = True) -> Assigned:
    commitment = named(f"commitment {validator} {attempt}") if committed else ZERO
    root = named(f"inner {validator}") if finding != NO_FINDING else ZERO
    return Assigned(validator, attempt, commitment, finding, root)


def an_audit(phase: int, *auditors: Assigned, votes: Sequence[tuple[int, int]] = (), **changes: Any) -> Audit:
    """`votes`: answers with the validators that gave them."""
    poll = open_poll(SET_EPOCH)
    poll = replace(poll, tallies=tuple(Tally(answer_subject(answer), count * 100 * 10**9) for answer, count in votes))
    attempt = max((each.attempt for each in auditors), default=1)
    plain = Audit(phase, SEGMENT, attempt, SET_EPOCH, 20, 140, named("mix"), NO_PARTS, NO_PARTS, ZERO, auditors, poll)
    return replace(plain, **changes)


def forget_audits(state: State) -> None:
    """As if the lot had fallen on nobody."""
    for number in range(1, state.ledger.round + 1):
        state.delete(audit_key(number, IDENTITY.node))


def a_secret(state: State, number: int, network: Network, planted: bool) -> bytes:
    """A secret that makes the audited segment a planted one, or does not."""
    current = state.round(number)
    assert current is not None
    secrets = (named(f"secret {index}") for index in range(10_000))
    return next(s for s in secrets if is_planted(s, current.mix, SEGMENT, network.params) == planted)


def put_audit(state: State, number: int, audit: Audit, node: bytes = b"") -> None:
    """The audit of a node's round; it is in the queue if it is open."""
    node = node or IDENTITY.node
    state.put(audit_key(number, node), audit)
    if audit.phase < PASSED:
        state.put(AUDITS_KEY, AuditQueue((*state.open_audits, AuditName(number, node))))


def forfeit(state: State, number: int) -> None:
    key = claim_key(number, IDENTITY.node)
    state.put(key, replace(state.need(Claim, key), forfeited=True))


def closed_rounds(folder: Path, rounds: int = 6) -> LoneNode:
    """A data directory whose rewards vest for many rounds; the newest round is in training."""
    directory = DataDirectory(folder)
    directory.create()
    node = LoneNode(folder, tiny_network(vest_rounds=20), open_key_value(directory / "ledger"))
    node.register()
    for _ in range(rounds):
        node.close_round()
    node.train(2)
    remember_votes(folder, node.block())
    return node


def write(node: LoneNode, state: State) -> None:
    """What tests have put into a state, into the ledger itself: it makes no blocks any more."""
    node.database.write({b"s" + key: value for key, value in state.changes.items()})
