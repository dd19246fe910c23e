"""A chain that several validators and nodes keep going: every block carries its parent's certificate and the next piece
of the round in progress, whatever the caller adds.

Nothing is funded from outside: whoever has money has earned it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from chain.attestations import has_voted
from chain.awaited import is_awaited
from chain.block import Body, Proof, RoundInput, Validator, beacon_message
from chain.crypto import bls
from chain.crypto.hashing import ZERO
from chain.crypto.votes import NOTARIZE, NULLIFY, Certificate, Evidence, Vote, evidence_of, vote_message
from chain.seats import has_seat, is_newcomer, is_seat_free
from chain.stakes import Stake, stake_of
from chain.state import (
    HOLDING,
    RESULT,
    REVEALING,
    TRAINING,
    Claim,
    NodeRecord,
    Round,
    claim_key,
    node_key,
)
from chain.transactions import Action, Bond, RetireNode, Transaction, bond_consent, node_farewell
from chain.transition import Applied, Proposal
from consensus.certificate import bitmap_of
from tests.builders import (
    NO_BLS_SIGNATURE,
    Chain,
    Key,
    a_commit,
    a_key,
    a_proof,
    a_result_vote,
    a_reveal,
    a_transaction,
    an_availability_vote,
    an_outcome,
    named,
    validator_secrets,
)
from tests.chain.played_audits import PlayedAudits

SECRETS_FROM = 101  # BLS secrets of stakers; bootstrap validators have 1, 2, …


@dataclass(frozen=True, slots=True)
class Staker:
    """A wallet with one node and one validator key."""

    wallet: Key
    node: Key
    secret: int

    @property
    def validator(self) -> bytes:
        return bls.public_key(self.secret)


def stakers(number: int) -> list[Staker]:
    return [Staker(a_key(f"wallet {i}"), a_key(f"node {i}"), SECRETS_FROM + i) for i in range(number)]


@dataclass
class PlayedChain(Chain):
    """`step` makes one block. Who is in `absent` neither votes nor proposes; rounds in `unfinished` get no commits, in
    `disputed` every validator finds a result of its own. Auditors find the nodes in `forgers` out."""

    people: list[Staker] = field(default_factory=list)
    absent: set[bytes] = field(default_factory=set)  # BLS keys
    unfinished: set[int] = field(default_factory=set)
    disputed: set[int] = field(default_factory=set)
    forgers: set[bytes] = field(default_factory=set)  # node ids

    def set_of(self, epoch: int | None = None) -> tuple[Validator, ...]:
        """The set of an epoch, by default the next block's."""
        return self.state.validators(self.epoch if epoch is None else epoch).members

    def secret_of(self, public_key: bytes) -> int:
        founders = {bls.public_key(secret): secret for secret in validator_secrets(len(self.network.validators))}
        return (founders | {person.validator: person.secret for person in self.people})[public_key]

    def stake_by(self, person: Staker) -> Stake:
        return stake_of(self.state, person.wallet.address)

    def record_of(self, person: Staker) -> NodeRecord:
        return self.state.need(NodeRecord, node_key(person.node.node))

    def place(self, public_key: bytes, epoch: int | None = None) -> int | None:
        """Where a key stands in the set of an epoch."""
        keys = [member.public_key for member in self.set_of(epoch)]
        return keys.index(public_key) if public_key in keys else None

    # ---- Blocks

    def step(self, *transactions: Transaction, **chosen: Any) -> Applied:
        """The next block. It is not judged again: that costs two pairings more."""
        leaving = {t.action.node_key for t in transactions if isinstance(t.action, RetireNode)}
        proofs = [proof for person, proof in self._proofs() if person.node.public not in leaving]
        audited = PlayedAudits(self, [person.node for person in self.people], self.secret_of, self.forgers).inputs()
        body = Body(tuple(proofs), transactions, (*self._round_inputs(), *audited), self.certificate())
        return self._append(self._built(body, **chosen))

    def steps(self, number: int) -> None:
        for _ in range(number):
            self.step()

    def until(self, condition: Callable[[], bool], limit: int = 80) -> None:
        """Blocks until something has happened."""
        for _ in range(limit):
            if condition():
                return
            self.step()
        raise AssertionError(f"it has not happened in {limit} blocks")

    def proposal(self, **changes: Any) -> Proposal:
        """Members that are there propose in turn; now and then a view passes without a block."""
        epoch = changes.pop("epoch", self.epoch)
        first = self.parent.view + 1 if epoch == self.parent.epoch else 1
        view = changes.pop("view", first + (self.height % 11 == 0))
        members = self.set_of(epoch)
        there = [place for place, member in enumerate(members) if member.public_key not in self.absent]
        proposer = changes.pop("proposer", there[view % len(there)])
        secret = self.secret_of(members[proposer % len(members)].public_key)
        reveal = bls.sign(secret, beacon_message(self.network.chain_id, epoch, view))
        return replace(Proposal(epoch, view, self.next_time + self.height % 7, proposer, reveal), **changes)

    def certificate(self) -> bytes:
        """The notarization of the tip by everybody who is there; none for the genesis."""
        if not self.blocks:
            return b""
        parent = self.parent
        members = self.set_of(parent.epoch)
        signers = [place for place, member in enumerate(members) if member.public_key not in self.absent]
        message = vote_message(self.network.chain_id, NOTARIZE, parent.epoch, parent.view, parent.hash)
        signed = bls.aggregate([bls.sign(self.secret_of(members[place].public_key), message) for place in signers])
        bitmap = bitmap_of(signers, len(members))
        return Certificate(NOTARIZE, parent.epoch, parent.view, parent.hash, bitmap, signed).encode()

    # ---- The round in progress

    def _current(self) -> Round | None:
        return self.state.round(self.state.ledger.round)

    def _workers(self, current: Round) -> Iterator[tuple[Staker, Claim | None]]:
        for person in self.people:
            record = self.state.find(NodeRecord, node_key(person.node.node))
            if record and not record.retired_height and record.registered_height <= current.opened_height:
                yield person, self.state.find(Claim, claim_key(current.number, person.node.node))

    def _proofs(self) -> Iterator[tuple[Staker, Proof]]:
        current = self._current()
        if current is None or current.phase != TRAINING:
            return
        for person, claim in self._workers(current):
            if claim is None or (claim.commitment == ZERO and len(claim.states) < self.network.params.segments):
                yield person, a_proof(self, person.node)

    def _round_inputs(self) -> Iterator[RoundInput]:
        current = self._current()
        if current is None or current.number in self.unfinished:
            return
        if current.phase == TRAINING:
            yield from self._commits(current)
        elif current.phase == REVEALING:
            for person in self.people:
                if person.node.node in current.committed:
                    yield a_reveal(self, person.node)
        elif current.phase in (HOLDING, RESULT):
            yield from self._votes(current)

    def _commits(self, current: Round) -> Iterator[RoundInput]:
        """Of everybody who has finished and drew a seat; first those without whom the phase would end."""
        state, params = self.state, self.network.params

        def is_waited_for(worker: tuple[Staker, Claim | None]) -> bool:
            return is_awaited(current, state.need(NodeRecord, node_key(worker[0].node.node)))

        for person, claim in sorted(self._workers(current), key=is_waited_for):
            node = person.node.node
            done = claim is not None and claim.commitment == ZERO and len(claim.states) == params.segments
            if done and has_seat(state, current, node, params) and is_seat_free(state, current, node, params):
                newcomers = current.committed_newcomers + is_newcomer(state, node)
                current = replace(current, committed=(*current.committed, node), committed_newcomers=newcomers)
                yield a_commit(self, person.node)

    def _votes(self, current: Round) -> Iterator[RoundInput]:
        """Of just so many validators of the round's set that their word decides."""
        members, power = self.set_of(current.set_epoch), 0
        agreed = current.phase == HOLDING or current.number not in self.disputed
        for place, member in enumerate(members):
            if agreed and 3 * power > 2 * sum(each.power for each in members):
                return
            if member.public_key in self.absent or has_voted(current.poll, place):
                continue
            power += member.power
            yield self._vote(current, place, self.secret_of(member.public_key))

    def _vote(self, current: Round, place: int, secret: int) -> RoundInput:
        chain_id = self.network.chain_id
        if current.phase == HOLDING:
            held = an_availability_vote(self, place, signature=NO_BLS_SIGNATURE)
            return replace(held, signature=bls.sign(secret, held.digest(chain_id)))
        found = a_result_vote(self, place, signature=NO_BLS_SIGNATURE)
        if current.number in self.disputed:
            roots = an_outcome(f"the result of {place} alone", counted_root=found.outcome.counted_root)
            found = replace(found, outcome=roots)
        return replace(found, signature=bls.sign(secret, found.digest(chain_id)))

    # ---- What people sign

    def signed(self, person: Staker, action: Action, **changes: Any) -> Transaction:
        return a_transaction(self, action, sender=person.wallet, **changes)

    def bond(self, person: Staker, amount: int, **changes: Any) -> Transaction:
        consent = bond_consent(self.network.chain_id, person.validator, person.wallet.address)
        return self.signed(person, Bond(amount, person.validator, bls.sign(person.secret, consent)), **changes)

    def farewell(self, person: Staker, **changes: Any) -> Transaction:
        """The retirement of a person's node."""
        digest = node_farewell(self.network.chain_id, person.node.public, person.wallet.public)
        return self.signed(person, RetireNode(person.node.public, person.node.sign(digest)), **changes)

    def double_vote(
        self, public_key: bytes, epoch: int, view: int = 3, kinds: tuple[int, int] = (NOTARIZE, NOTARIZE)
    ) -> Evidence:
        """Two conflicting votes of a member of an epoch's set."""
        place = self.place(public_key, epoch)
        assert place is not None
        votes = []
        for number, kind in enumerate(kinds):
            block = ZERO if kind == NULLIFY else named(f"block {number} of view {view}")
            message = vote_message(self.network.chain_id, kind, epoch, view, block)
            votes.append(Vote(kind, epoch, view, block, place, bls.sign(self.secret_of(public_key), message)))
        return evidence_of(*votes)
