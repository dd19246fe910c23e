"""What must hold whatever happens, looked at after everything that happens to an honest node. Start at `Watch.look_at`.

Safety: one final block at a height, each on the one before it; equal heights mean equal records, byte for byte; money
is conserved; certificates verify; a final block and a transaction told to be final stay so, also across a crash; no
honest validator contradicts itself in what leaves it; no honest node has another banned; nothing grows without bound.
Liveness: once all is well, a new block is final everywhere within `patience_ms`.
"""

from typing import TYPE_CHECKING

from chain.block import Block
from chain.crypto import bls
from chain.crypto.votes import Vote, vote_message
from chain.stakes import Stake, Unbonding
from chain.state import Account, State, Vesting
from chain.transition import epoch_of
from consensus.committee import Committee
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, Proposal
from consensus.state import Own
from network.kinds import CERTIFICATE, PROPOSAL, VOTE
from node.certificates import committee_of
from node.judging import DRIFT_MS
from node.store import number
from tests.simulator.bounds import check_bounds
from tests.simulator.links import BAN_SCORE, DIAL_MS, NOTICE_MS

if TYPE_CHECKING:
    from tests.simulator.machine import Machine
    from tests.simulator.world import World

SETTLING_MS = DIAL_MS + NOTICE_MS + 6_000  # until all are connected and those that came back have listened long enough


class Watch:
    """Knows the one chain that all honest nodes must have, and what each of them has said."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.chain: dict[int, bytes] = {}  # height → hash
        self._encoded: dict[int, bytes] = {}  # height → block
        self.flat: dict[int, int] = {}  # height → sum over all records
        self.seen: dict[int, int] = {}  # place of a machine → its height
        self.votes: dict[tuple[int, int, int], Own] = {}  # (place, epoch, view) → what left it
        self.committees: dict[int, Committee] = {}
        self.checked: set[bytes] = set()  # certificates that verify
        self.scores: dict[tuple[int, int], int] = {}
        self.convicted: set[bytes] = set()  # keys against which there is proof
        self.highest = 0
        self.calm_height = -1
        self.calm_ms = self.calm_delta_ms = 0
        self.recovered_ms = -1
        self.entered: set[tuple[int, int]] = set()  # (epoch, view) that an honest node was in
        self._view_of: dict[int, int] = {}
        self._last_sent: dict[int, bytes] = {}

    def fail(self, reason: str) -> None:
        self.world.fail(reason)

    # ---- after everything that happens

    def look_at(self, machine: "Machine") -> None:
        node = machine.node
        if node is None or not machine.honest:
            return
        state = node.replica.state
        if state is not None and state.view != self._view_of.get(machine.place):
            self._view_of[machine.place] = state.view
            self.entered.add((node.replica.epoch.number if node.replica.epoch else 0, state.view))
        tip = node.view.tip
        before = self.seen.get(machine.place, 0)
        if tip.height != before:
            self._grown(machine, before, tip.height)

    def _grown(self, machine: "Machine", before: int, height: int) -> None:
        """A node has made blocks final: they are those of all others."""
        node = machine.node
        assert node is not None
        if height < before:
            self.fail(f"{machine.name} has lost the final blocks from {height + 1} to {before}")
        self.seen[machine.place] = height
        for at in range(before + 1, height + 1):
            self._check_block(machine, at)
        flat = self.flat.setdefault(height, machine.disk.flat)
        if flat != machine.disk.flat:
            self.fail(f"{machine.name} has other records at height {height} than the others")
        if height > self.highest:
            self.highest = height
            self._check_supply(machine)
            self._check_power(machine, height)
            if self.calm_height >= 0 and self.recovered_ms < 0 and height > self.calm_height:
                self.recovered_ms = self.world.clock.now_ms - self.calm_ms

    def _check_block(self, machine: "Machine", height: int) -> None:
        records = machine.disk.records
        encoded = records.get(b"b" + number(height))
        if encoded is None:
            return  # A snapshot came in its place; what stands on it is compared.
        certificate = records[b"f" + number(height)]
        known = self._encoded.get(height)
        if known is None:
            self._encoded[height] = encoded
            self._check_first(machine, Block.decode(encoded))
        elif known != encoded:
            self.fail(f"two final blocks at height {height}: {machine.name} has another than those before it")
        if certificate:
            self._check_certificate(machine, certificate, (FINALIZE,), height)

    def _check_first(self, machine: "Machine", block: Block) -> None:
        """A block that is final for the first time."""
        header, network = block.header, self.world.network
        self.chain[header.height] = header.hash()
        below = self.chain.get(header.height - 1, network.chain_id if header.height == 1 else None)
        if below is not None and header.parent_hash != below:
            self.fail(f"the final block {header.height} of {machine.name} does not stand on the one before it")
        if header.time_ms > self.world.started_ms + self.world.clock.now_ms + DRIFT_MS + self.world.scenario.skew_ms:
            self.fail(f"the final block {header.height} is from the future")
        if header.height > 1:
            self._check_certificate(machine, block.body.parent_certificate, (NOTARIZE, FINALIZE), header.height - 1)

    def _check_certificate(self, machine: "Machine", encoded: bytes, kinds: tuple[int, ...], height: int) -> None:
        """A certificate is about the final block of this height, and more than two thirds of the power stand for it."""
        if encoded in self.checked:
            return
        certificate, epoch = Certificate.decode(encoded), epoch_of(height, self.world.network.params)
        block_hash = self.chain.get(height, certificate.block_hash)
        if certificate.kind not in kinds or (certificate.epoch, certificate.block_hash) != (epoch, block_hash):
            self.fail(f"{machine.name} has a certificate for block {height} that is about something else")
        self._check_quorum(machine, certificate, f"block {height}")
        self.checked.add(encoded)

    def _check_quorum(self, machine: "Machine", certificate: Certificate, about: str) -> None:
        """Counted here once more: what the nodes count may be what is wrong."""
        committee = self.committee(machine, certificate.epoch)
        bits = int.from_bytes(certificate.bitmap, "little")
        signers = [member for place, member in enumerate(committee.members) if bits >> place & 1]
        message = vote_message(
            self.world.network.chain_id, certificate.kind, certificate.epoch, certificate.view, certificate.block_hash
        )
        power, total = sum(member.power for member in signers), sum(member.power for member in committee.members)
        if 3 * power <= 2 * total:
            self.fail(f"{machine.name} takes {len(signers)} signers of {about} for a quorum: {power} of {total}")
        if not bls.fast_aggregate_verify([member.public_key for member in signers], message, certificate.signature):
            self.fail(f"{machine.name} believes a certificate of {about} that does not verify")

    def committee(self, machine: "Machine", epoch: int) -> Committee:
        if epoch not in self.committees:
            assert machine.node is not None
            self.committees[epoch] = committee_of(machine.node.view.state(), epoch)
        return self.committees[epoch]

    def _check_supply(self, machine: "Machine") -> None:
        """All pots together are what was minted and not burned."""
        disk = machine.disk
        supply = State(lambda key: disk.records.get(b"s" + key)).supply
        tables: dict[bytes, list[bytes]] = {b"a": [], b"b": [], b"u": [], b"v": []}
        for key in disk.keys(b"s"):
            table = tables.get(key[1:2])
            if table is not None:
                table.append(disk.records[key])
        sums = (
            sum(Account.decode(record).balance for record in tables[b"a"]),
            sum(Stake.decode(record).bonded for record in tables[b"b"]),
            sum(Unbonding.decode(record).amount for record in tables[b"u"]),
            sum(Vesting.decode(record).amount for record in tables[b"v"]),
        )
        if sums != (supply.balances, supply.bonded, supply.unbonding, supply.vesting):
            self.fail(f"at height {self.highest} the pots hold {sums}, the ledger says {supply}")
        if sum(sums) != supply.minted - supply.burned:
            self.fail(f"at height {self.highest} there are {sum(sums)} nanos: {supply}")

    def _check_power(self, machine: "Machine", height: int) -> None:
        """If chance gave the adversary a third, nothing is promised: the run ends."""
        epoch = epoch_of(height + 1, self.world.network.params)
        if epoch in self.committees:
            return
        committee = self.committee(machine, epoch)
        wicked = {each.voter for each in self.world.machines if not each.honest}
        power = sum(member.power for member in committee.members if member.public_key in wicked)
        honest = {each.voter for each in self.world.machines if each.honest}
        present = sum(member.power for member in committee.members if member.public_key in honest)
        if 3 * power >= committee.total_power or 3 * present <= 2 * committee.total_power:
            self.world.over = True

    # ---- what is said

    def leaving(self, machine: "Machine", kind: int, payload: bytes) -> None:
        """A message of an honest node leaves it."""
        if self._last_sent.get(machine.place) is payload:
            return  # The same to the next peer.
        self._last_sent[machine.place] = payload
        if kind == VOTE:
            self.cast(machine, Vote.decode(payload))
        elif kind == PROPOSAL:
            self.cast(machine, Proposal.read(payload, 0)[0].leader_vote)
        elif kind == CERTIFICATE and payload not in self.checked:
            certificate = Certificate.decode(payload)
            if certificate.epoch in self.committees:
                self._check_quorum(machine, certificate, f"view {certificate.view}")
                self.checked.add(payload)

    def cast(self, machine: "Machine", vote: Vote) -> None:
        """A vote leaves: if it is the machine's own, it contradicts none that left before, in any life."""
        committee = self.committees.get(vote.epoch)
        if committee is None or vote.signer >= len(committee.members):
            return
        if committee.members[vote.signer].public_key != machine.voter:
            return
        place = machine.place, vote.epoch, vote.view
        own = self.votes.get(place, Own())
        if vote.kind == NOTARIZE and own.notarized not in (None, vote.block_hash):
            self.fail(f"{machine.name} votes NOTARIZE twice in epoch {vote.epoch}, view {vote.view}")
        if vote.kind == FINALIZE and (own.finalized not in (None, vote.block_hash) or own.nullified):
            self.fail(f"{machine.name} votes FINALIZE against itself in epoch {vote.epoch}, view {vote.view}")
        if vote.kind == NULLIFY and own.finalized is not None:
            self.fail(f"{machine.name} votes NULLIFY after FINALIZE in epoch {vote.epoch}, view {vote.view}")
        self.votes[place] = own.with_vote(vote.kind, vote.block_hash)

    def accused(self, machine: "Machine", epoch: int, places: list[int]) -> None:
        """A node holds a proof against these members: none of them is honest."""
        if machine.honest:
            members = self.committee(machine, epoch).members
            honest = {each.voter: each.name for each in self.world.machines if each.honest}
            for place in places:
                self.convicted.add(members[place].public_key)
                if members[place].public_key in honest:
                    self.fail(f"{machine.name} has proof against {honest[members[place].public_key]}, which is honest")

    def blamed(self, machine: "Machine", other: "Machine", points: int, reason: str) -> None:
        """The honest may annoy each other, never so much that one is banned; in a wild network it may look so."""
        if machine.honest and other.honest and not self.world.scenario.wild:
            score = self.scores[machine.place, other.place] = self.scores.get((machine.place, other.place), 0) + points
            if score >= BAN_SCORE:
                self.fail(f"{machine.name} bans {other.name}, which is honest: {reason}")

    # ---- lives

    def booted(self, machine: "Machine") -> None:
        """After a crash everything that was final is there."""
        assert machine.node is not None
        if machine.honest:
            height = machine.node.view.tip.height
            if height < self.seen.get(machine.place, 0):
                self.fail(f"{machine.name} comes back at height {height} and was at {self.seen[machine.place]}")
            self.committee(machine, epoch_of(height + 1, self.world.network.params))

    # ---- once all is well

    def calm(self) -> None:
        """The chaos is over."""
        self.calm_height, self.calm_ms = self.highest, self.world.clock.now_ms
        states = [machine.node.replica.state for machine in self.world.honest if machine.node is not None]
        self.calm_delta_ms = max((state.delta_ms for state in states if state is not None), default=1_000)

    def patience_ms(self) -> int:
        """Within so long after the chaos all honest nodes have a new final block."""
        params = self.world.network.params
        return SETTLING_MS + 10 * max(self.calm_delta_ms, 1_000) + params.block_interval_max_ms

    def recovered(self) -> bool:
        """Whether all honest nodes run and have a block that was not final anywhere when the chaos ended."""
        return self.calm_height >= 0 and all(
            machine.node is not None and self.seen.get(machine.place, 0) > self.calm_height
            for machine in self.world.honest
        )

    def lateness(self) -> str:
        heights = {machine.name: self.seen.get(machine.place, 0) for machine in self.world.honest}
        waited = self.world.clock.now_ms - self.calm_ms
        return (
            f"no new block is final everywhere {waited} ms after all was well at height {self.calm_height}: {heights}"
        )

    def end(self) -> None:
        """The last look."""
        for machine in self.world.honest:
            check_bounds(self.world, machine)
        self.world.clients.end()

    # ---- figures

    def views(self) -> int:
        """Views that at least one honest node was in."""
        return len(self.entered)

    def epochs(self) -> int:
        return len(self.committees)
