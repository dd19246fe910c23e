"""Audits without blocks: a round that has ended, its claims, a validator set, and the rules of audits upon them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chain.attestations import open_poll
from chain.audit_messages import (
    MISMATCH,
    PASS,
    UNSERVED,
    AuditVote,
    PlantReveal,
    SegmentOpening,
    StateParts,
    VerdictCommit,
    VerdictReveal,
)
from chain.audit_records import dequeue
from chain.block import RoundInput, Validator, state_hash
from chain.crypto import bls
from chain.crypto.hashing import ZERO
from chain.errors import NeuroError
from chain.findings import of_attempt
from chain.genesis import genesis_state
from chain.money import BondedStake, VestingReward, mint
from chain.payouts import release_vested
from chain.plants import plant_promise
from chain.progress import Progress
from chain.receipts import Receipt
from chain.stakes import Stake, ValidatorKey, stake_key, validator_key
from chain.state import (
    VOID,
    Assigned,
    Audit,
    Awaited,
    Claim,
    NodeRecord,
    Revealed,
    Round,
    ValidatorSet,
    claim_key,
    node_key,
    round_key,
    set_key,
)
from chain.transition import check_supply
from tests.builders import (
    ALICE,
    AUDITED,
    NO_BLS_SIGNATURE,
    NO_SIGNATURE,
    NODE,
    Key,
    a_key,
    a_network,
    an_outcome,
    named,
    state_parts,
    validator_key_of,
)

SECRET = named("the secret of the plants")
STAKE = 100 * 10**9
VESTING = 5_000_000
ALWAYS = AUDITED | {"audit_warmup_rounds": 1_000, "audit_floor_rounds": 1_001, "audit_second_basis_points": 0}
AGE = 10_000  # height at which round 1 ends


def wallet_of(secret: int) -> Key:
    return a_key(f"auditor {secret}")


class Audits:
    """Round 1 ended with a reveal of each node; `powers` are those of validators with BLS secrets from 11 on.

    Alice owns the nodes; each validator has a wallet of its own and as much stake as power.
    """

    def __init__(
        self, *nodes: Key, powers: Sequence[int] = (STAKE,) * 6, plant: bool = False, mix: str = "mix", **params: Any
    ) -> None:
        self.network = a_network(**(ALWAYS | {"plant_basis_points": 0} | params))
        self.params, self.state = self.network.params, genesis_state(self.network)
        self.height, self.epoch, self.mix, self.receipts = AGE, 0, mix, list[Receipt]()
        self.nodes, self.plant = nodes or (NODE,), plant_promise(SECRET) if plant else ZERO
        self._seat(powers)
        self._end_round()

    def _seat(self, powers: Sequence[int]) -> None:
        members = []
        for secret, power in enumerate(powers, 11):
            key, wallet = validator_key_of(secret), wallet_of(secret)
            members.append(Validator(key, power))
            mint(self.state, BondedStake(wallet.address), power)
            self.state.put(stake_key(wallet.address), Stake(public_key=key, bonded=power, power=power))
            self.state.put(validator_key(key), ValidatorKey(wallet.address, False))
        self.secrets = {member.public_key: secret for secret, member in enumerate(members, 11)}
        self.state.put(set_key(0), ValidatorSet(tuple(sorted(members, key=lambda member: member.public_key))))

    def _end_round(self) -> None:
        state, count = self.state, self.params.segments
        for key in self.nodes:
            record = NodeRecord(key.public, ALICE.address, 1, 0, False, 0, 0, 1, 1, count, ZERO, 0, ZERO, 0, 0)
            state.put(node_key(key.node), record)
            state.put(claim_key(1, key.node), self.a_claim(key))
            mint(state, VestingReward(1, key.node, ALICE.address), VESTING)
        revealed = tuple(Revealed(key.node, named(key.node.hex()), 1, 8, 1) for key in self.nodes)
        number = len(self.nodes)
        state.update_ledger(round=1, ended_round=1, settled_round=1, nodes=number, work=number * count)
        state.put(round_key(1), _ended(revealed, self.nodes[-1].node))

    def a_claim(self, key: Key, number: int = 1) -> Claim:
        count = self.params.segments
        states = tuple(state_hash(*state_parts(key, number, segment)) for segment in range(count))
        start, theta = state_hash(*state_parts(key, number, -1)), state_parts(key, number, count - 1)[0]
        distances, before = (1,) * count, self.nodes[self.nodes.index(key) - 1].node
        if key == self.nodes[0]:
            before = ZERO
        payload = named(key.node.hex())
        return Claim(
            ALICE.address, 8, 64, 0, ZERO, named("c"), before, 0, states, start, self.plant, 0, payload, theta,
            distances, False,
        )  # fmt: skip

    # ---- Time

    @property
    def progress(self) -> Progress:
        return Progress(self.state, self.height, self.epoch, self.network)

    def block(self, *items: RoundInput, release: bool = True) -> list[Receipt]:
        self.height += 1
        self.state.update_ledger(mix=named(f"{self.mix} {self.height}"))
        receipts = self.progress.begin()
        for item in items:
            receipts += self.progress.take(item)
        dequeue(self.state, receipts)
        if release:
            receipts += release_vested(self.state, self.params)
        self.receipts += receipts
        check_supply(self.state)
        return receipts

    def blocks(self, number: int) -> None:
        for _ in range(number):
            self.block()

    def take(self, *items: RoundInput) -> None:
        """Within the block that has begun."""
        for item in items:
            self.receipts += self.progress.take(item)
            dequeue(self.state, self.receipts)
        check_supply(self.state)

    def refuses(self, item: RoundInput) -> bool:
        before = dict(self.state.changes)
        try:
            self.take(item)
        except NeuroError:
            assert self.state.changes == before
            return True
        return False

    # ---- What is known

    def audit(self, key: Key = NODE, number: int = 1) -> Audit:
        audit = self.state.audit(number, key.node)
        assert audit is not None
        return audit

    def record(self, key: Key = NODE) -> NodeRecord:
        return self.state.need(NodeRecord, node_key(key.node))

    def assigned(self, key: Key = NODE) -> list[Assigned]:
        return list(of_attempt(self.audit(key)))

    def told(self, kind: type[Receipt]) -> list[Any]:
        return [receipt for receipt in self.receipts if isinstance(receipt, kind)]

    def secret_at(self, place: int) -> int:
        return self.secrets[self.state.validators(0).members[place].public_key]

    # ---- What is said

    def _by_node(self, item: Any, key: Key) -> Any:
        return replace(item, signature=key.sign(item.digest(self.network.chain_id)))

    def by(self, item: Any, place: int) -> Any:
        """Signed by the member at a place."""
        return replace(item, signature=bls.sign(self.secret_at(place), item.digest(self.network.chain_id)))

    def opening(self, key: Key = NODE, signer: Key | None = None, number: int = 1, **changes: Any) -> SegmentOpening:
        segment = self.audit(key, number).segment
        before, after = (StateParts(*state_parts(key, number, each)) for each in (segment - 1, segment))
        item = replace(SegmentOpening(number, key.node, before, after, NO_SIGNATURE), **changes)
        return self._by_node(item, signer or key)

    def verdict(self, place: int, finding: int = PASS, key: Key = NODE, **changes: Any) -> VerdictReveal:
        names = [named(f"inner {place} {step}") for step in range(self.params.segment_steps)]
        inner = () if finding == UNSERVED else tuple(names)
        shown = VerdictReveal(1, key.node, place, named(f"salt {place}"), finding, inner, NO_BLS_SIGNATURE)
        return self.by(replace(shown, **changes), place)

    def commit(self, place: int, finding: int = PASS, key: Key = NODE, **changes: Any) -> VerdictCommit:
        hidden = self.verdict(place, finding, key, **changes).commitment(self.network.chain_id)
        return self.by(VerdictCommit(1, key.node, place, hidden, NO_BLS_SIGNATURE), place)

    def plant_reveal(self, key: Key = NODE, secret: bytes = SECRET, signer: Key | None = None) -> PlantReveal:
        return self._by_node(PlantReveal(1, key.node, secret, NO_SIGNATURE), signer or key)

    def vote(self, place: int, answer: int, key: Key = NODE, **changes: Any) -> AuditVote:
        vote = AuditVote(1, key.node, place, self.audit(key).attempt, answer, NO_BLS_SIGNATURE)
        return self.by(replace(vote, **changes), place)

    # ---- The stations of an audit

    def open(self, key: Key = NODE) -> None:
        """From the draw to the auditing phase."""
        self.block()
        self.take(self.opening(key))

    def find(self, *findings: int, key: Key = NODE) -> None:
        """The auditors of this attempt commit and show; the node shows its secret if it has one to show."""
        if not self.assigned(key):
            self.block()  # that draws them
        places = [assigned.validator for assigned in self.assigned(key)]
        pairs = list(zip(places, findings, strict=True))
        self.block(*(self.commit(place, finding, key) for place, finding in pairs))
        if self.plant != ZERO and self.audit(key).secret == ZERO:
            self.take(self.plant_reveal(key))
        self.take(*(self.verdict(place, finding, key) for place, finding in pairs))

    def all_vote(self, answer: int, number: int | None = None, key: Key = NODE) -> None:
        size = len(self.state.validators(0).members)
        for place in range(size if number is None else number):
            phase = self.audit(key).phase
            self.take(self.vote(place, answer, key))
            if self.audit(key).phase != phase:
                return

    def dispute(self, key: Key = NODE) -> None:
        """Two auditors one after the other find a mismatch."""
        self.open(key)
        self.find(MISMATCH, key=key)
        self.find(MISMATCH, key=key)


def _ended(revealed: tuple[Revealed, ...], last: bytes) -> Round:
    return Round(
        number=1,
        phase=VOID,
        opened_height=1,
        deadline_height=AGE,
        participants=len(revealed),
        veterans=len(revealed),
        awaited=Awaited(0, 0, 0, 0, 0, 0, 0),
        base=an_outcome("genesis"),
        mix=named("mix of round 1"),
        last_claimant=last,
        committed=tuple(each.node for each in revealed),
        committed_newcomers=0,
        revealed=tuple(sorted(revealed, key=lambda each: each.node)),
        availability=open_poll(0),
        result=open_poll(0),
        outcomes=(),
    )
