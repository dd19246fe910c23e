"""A village: one ledger in memory, nodes that really train a tiny model, validators that really replay it; no sockets.

Every block asks everybody what is due on the newest state, leaves out what the rules refuse (and writes down why), and
is built by the ledger's own `build_block`. Start reading at `Village.block`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from chain.audit_draw import audit_share
from chain.block import Body, Proof, RoundInput, encode_round_input
from chain.errors import BadSignature, LedgerError
from chain.progress import Progress
from chain.proofs import apply_proof, check_proof
from chain.receipts import AuditDrawn, AuditEnded, AuditFault, AuditMissed, Forfeited, FraudRewarded, Jailed, Receipt
from chain.rounds import earning
from chain.state import (
    AUDIT_PHASES,
    Assigned,
    Claim,
    NodeRecord,
    Round,
    State,
    Vesting,
    claim_key,
    node_key,
    round_key,
    vesting_key,
)
from chain.transition import build_block, mix_beacon
from tests.audits.auditor import Auditor
from tests.audits.school import School
from tests.audits.trainer import Trainer
from tests.builders import Chain, a_registration

AUDIT_RECEIPTS = (AuditDrawn, AuditEnded, AuditFault, AuditMissed, Forfeited, FraudRewarded, Jailed)
TRIES = 3


@dataclass(frozen=True)
class Refused:
    """Something that the ledger did not take."""

    height: int
    item: Proof | RoundInput
    why: str


@dataclass(frozen=True)
class Lot:
    """That a node stood to be audited for a round, and how likely an audit was to find a forged segment."""

    round: int
    node: bytes
    chance: float


@dataclass
class Watched:
    """An audit as it went on."""

    round: int
    node: bytes
    drawn_height: int
    segment: int
    planted: bool = False
    phases: list[int] = field(default_factory=list)
    ended_height: int = 0
    outcome: str = ""
    attempts: int = 0
    auditors: tuple[Assigned, ...] = ()
    set_epoch: int = 0


class Village:
    """`nodes` and `auditors` are told apart: a cheat is one of either, with other methods."""

    def __init__(
        self, school: School, nodes: list[Trainer], auditors: list[Auditor], seated: int | None = None
    ) -> None:
        self.school = school
        self.network = school.network
        self.chain = Chain(school.network)
        self.nodes = {node.key.node: node for node in nodes}
        self.auditors = auditors
        self.refused: list[Refused] = []
        self.audits: dict[tuple[int, bytes], Watched] = {}
        self.lots: list[Lot] = []
        self.receipts: list[tuple[int, Receipt]] = []  # about audits, with the height
        self.bytes: Counter[str] = Counter()  # of round inputs on the ledger, by type
        self.ended_heights: dict[int, int] = {}  # of rounds
        self._tries: Counter[bytes] = Counter()
        for auditor in auditors:
            auditor.village = self
        staked = [auditor.wallet for auditor in auditors if not auditor.is_founder]
        for wallet in staked:
            self.chain.seat(wallet)
        self._register(nodes)

    def _register(self, nodes: list[Trainer]) -> None:
        """All in one block, so that the first round has everybody."""
        nonces: Counter[bytes] = Counter()
        said = []
        for node in nodes:
            nonce = nonces[node.wallet.address]
            said.append(a_registration(self.chain, wallet=node.wallet, node=node.key, nonce=nonce))
            nonces[node.wallet.address] += 1
        self.chain.quick_block(*said)

    @property
    def state(self) -> State:
        return self.chain.state

    @property
    def height(self) -> int:
        return self.chain.height

    def run(self, rounds: int) -> "Village":
        """Until so many more rounds have ended, and the audits of all of them."""
        last = self.state.ledger.ended_round + rounds
        while self.state.ledger.ended_round < last:
            self.block()
        while self.state.ledger.drawn_round < last or any(name.round <= last for name in self.state.open_audits):
            self.block()
        return self

    def until_convicted(self, node: Trainer, rounds: int) -> "Village":
        """Until an audit finds a node guilty; fails if it has not within so many rounds."""
        last = self.state.ledger.ended_round + rounds
        while not any(each.node == node.key.node and each.outcome == "fraud" for each in self.audits.values()):
            assert self.state.ledger.ended_round <= last, f"not convicted in {rounds} rounds"
            self.block()
        return self

    def until_faulty(self, auditor: Auditor, rounds: int) -> "Village":
        """Until an auditor is found at fault; fails if it has not been within so many rounds."""
        last = self.state.ledger.ended_round + rounds
        while all(each.public_key != auditor.public_key for _, each in self.named("AuditFault")):
            assert self.state.ledger.ended_round <= last, f"no fault in {rounds} rounds"
            self.block()
        return self

    def end_epoch(self) -> None:
        """To the next block that pays."""
        length = self.network.params.epoch_blocks
        for _ in range(length - self.height % length):
            self.block()

    def vesting(self, node: Trainer, rounds: Iterable[int] = ()) -> int:
        """What a node's rounds may still pay, or some of them."""
        rounds = rounds or range(1, self.state.ledger.round + 1)
        pots = (self.state.find(Vesting, vesting_key(number, node.key.node)) for number in rounds)
        return sum(pot.amount for pot in pots if pot is not None)

    def blind(self, auditor: Auditor) -> list[Watched]:
        """The settled audits in whose first attempt this validator gave a verdict."""
        place_in = {each.set_epoch: auditor.place_in(self.state, each.set_epoch) for each in self.audits.values()}
        return [
            each
            for each in self.audits.values()
            if any(of.attempt == 1 and of.finding and of.validator == place_in[each.set_epoch] for of in each.auditors)
        ]

    def named(self, *names: str) -> list[tuple[int, Any]]:
        """The receipts of these kinds, with their heights."""
        return [each for each in self.receipts if type(each[1]).__name__ in names]

    def block(self) -> None:
        """One block with all that is due."""
        state = self.state.fork()
        proposal = self.chain.proposal()
        proofs: list[Proof] = []
        inputs: list[RoundInput] = []
        for speaker in (*self.nodes.values(), *self.auditors):
            proven, said = speaker.says(state, self.height, proposal.time_ms)
            proofs += proven
            inputs += said
        body = self._filled(state, proposal, proofs, inputs)
        applied = build_block(state, self.chain.parent, proposal, body, self.network, self.chain.nodes.get)
        self.chain._append(applied)
        for item in body.rounds:
            self.bytes[type(item).__name__] += len(encode_round_input(item))
        self.receipts += [(self.height, each) for each in applied.receipts if isinstance(each, AUDIT_RECEIPTS)]
        for number in range(state.ledger.ended_round + 1, self.state.ledger.ended_round + 1):
            self.ended_heights[number] = self.height
        self._note_lots(state)
        self._watch()
        self._tidy()

    def _tidy(self) -> None:
        """Nodes keep the states of rounds whose audits are not settled, and what a copier of the last round wants."""
        state = self.state
        oldest = min([state.ledger.round, *(name.round for name in state.open_audits)]) - 2
        for node in self.nodes.values():
            node.forget_before(oldest)

    def _filled(self, state: State, proposal: Any, proofs: list[Proof], inputs: list[RoundInput]) -> Body:
        """A body of what the rules take, in their order. The rest is written down."""
        draft, params, chain_id = state.fork(), self.network.params, self.network.chain_id
        height = self.height + 1
        mix_beacon(draft, proposal)
        base_fee = draft.ledger.base_fee
        taken: list[Proof] = []
        for proof in proofs:
            if self._is_refused(proof):
                continue
            try:
                check_proof(draft, proof, chain_id, proposal.time_ms, params)
            except (LedgerError, BadSignature) as error:
                self._refuse(proof, error)
                continue
            apply_proof(draft, proof, chain_id, base_fee, params)
            taken.append(proof)
        progress = Progress(draft, height, proposal.epoch, self.network)
        progress.begin()
        chosen: list[RoundInput] = []
        for item in inputs:
            if self._is_refused(item):
                continue
            try:
                progress.take(item)
            except (LedgerError, BadSignature) as error:
                self._refuse(item, error)
                continue
            chosen.append(item)
        return Body(tuple(taken), (), tuple(chosen), b"")

    def _is_refused(self, item: Proof | RoundInput) -> bool:
        """Whether it has been tried often enough; some things are only too early."""
        return self._tries[item.encode()] >= TRIES

    def _refuse(self, item: Proof | RoundInput, error: Exception) -> None:
        self._tries[item.encode()] += 1
        if self._tries[item.encode()] == 1:
            self.refused.append(Refused(self.height + 1, item, str(error)))

    # ---- What came of it

    def _note_lots(self, before: State) -> None:
        """Who was in the draw of this block: decided on the state before it."""
        ledger = before.ledger
        for number in range(ledger.drawn_round + 1, ledger.ended_round + 1):
            ended = before.need(Round, round_key(number))
            for node in earning(before, ended):
                if not before.need(Claim, claim_key(number, node)).forfeited:
                    share = audit_share(before.need(NodeRecord, node_key(node)), self.network.params)
                    self.lots.append(Lot(number, node, share / 10_000 * self.nodes[node].exposure(number)))

    def _watch(self) -> None:
        """Follow the audits: whose, which segment, through which phases, how it ended."""
        state = self.state
        for name in state.open_audits:
            place = name.round, name.node
            audit = state.audit(*place)
            assert audit is not None
            if place not in self.audits:
                self.audits[place] = Watched(name.round, name.node, self.height, audit.segment)
            known = self.audits[place]
            if not known.phases or known.phases[-1] != audit.phase:
                known.phases.append(audit.phase)
        for place, known in self.audits.items():
            if known.ended_height:
                continue
            audit = state.audit(*place)
            if audit is not None and not audit.is_open:
                known.ended_height, known.outcome = self.height, AUDIT_PHASES[audit.phase]
                known.attempts, known.auditors, known.set_epoch = audit.attempt, audit.auditors, audit.set_epoch
