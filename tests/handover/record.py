"""What the ledger of a node says of the whole hand-over, computed again from the genesis by `node.archive.Replay`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chain.block import PHASES
from chain.crypto.votes import Certificate
from chain.money import NEURO
from chain.receipts import AutoBonded, Jailed, RoundClosed, RoundVoid
from chain.rounds import counted
from chain.stakes import staking
from chain.state import NodeRecord, node_key
from chain.transition import Applied
from node.archive import Replay
from node.data_directory import DataDirectory
from node.identity import Identity
from node.key_value import open_key_value
from node.network_file import kept_network
from node.payload_store import PayloadStore

NAMES = ("the founder", "node 1", "node 2", "node 3")


@dataclass
class Epoch:
    """The set of one epoch, and who signed how many of the notarizations that its blocks carry."""

    number: int
    powers: dict[str, int]  # by name, in nanos
    members: list[str]  # by place
    phantom: int
    counted: int = 0
    signed: dict[str, int] = field(default_factory=dict)

    def share(self, name: str) -> float:
        return self.signed.get(name, 0) / self.counted if self.counted else 1.0


@dataclass
class Record:
    """Filled block by block."""

    identities: Sequence[Identity]
    epochs: dict[int, Epoch] = field(default_factory=dict)
    phases: dict[str, int] = field(default_factory=dict)  # the first height of each
    hashes: dict[int, bytes] = field(default_factory=dict)
    proposers: dict[int, str] = field(default_factory=dict)
    bonded: dict[str, int] = field(default_factory=dict)
    jailed: list[str] = field(default_factory=list)
    closed: dict[int, tuple[int, list[str]]] = field(default_factory=dict)  # round → height and whose payloads counted
    void: dict[int, int] = field(default_factory=dict)
    outer_root: str = ""

    def __post_init__(self) -> None:
        self.by_key = {each.validator_public_key: name for each, name in zip(self.identities, NAMES, strict=False)}
        self.by_wallet = {each.address: name for each, name in zip(self.identities, NAMES, strict=False)}

    def hear(self, applied: Applied) -> None:
        header, state = applied.block.header, applied.state
        self.hashes[header.height] = header.hash()
        self.phases.setdefault(PHASES[header.phase], header.height)
        if header.epoch not in self.epochs:
            members = state.validators(header.epoch).members
            names = [self.by_key[member.public_key] for member in members]
            powers = {name: member.power for name, member in zip(names, members, strict=True)}
            self.epochs[header.epoch] = Epoch(header.epoch, powers, names, staking(state).phantom)
        epoch = self.epochs[header.epoch]
        self.proposers[header.height] = epoch.members[header.proposer]
        self._count(epoch, applied)
        for receipt in applied.receipts:
            match receipt:
                case AutoBonded(wallet, amount):
                    name = self.by_wallet[wallet]
                    self.bonded[name] = self.bonded.get(name, 0) + amount
                case Jailed(wallet, until):
                    self.jailed.append(f"{self.by_wallet[wallet]} at height {header.height} until epoch {until}")
                case RoundClosed(number, _):
                    current = state.round(number)
                    assert current is not None
                    nodes = [state.need(NodeRecord, node_key(each.node)) for each in counted(state, current)]
                    whose = [self.by_wallet[node.wallet] for node in nodes]
                    self.closed[number] = header.height, whose
                case RoundVoid(number):
                    self.void[number] = header.height

    def _count(self, epoch: Epoch, applied: Applied) -> None:
        encoded = applied.block.body.parent_certificate
        if not encoded:
            return
        certificate = Certificate.decode(encoded)
        if certificate.epoch != epoch.number:
            return
        epoch.counted += 1
        bits = int.from_bytes(certificate.bitmap, "little")
        for place, name in enumerate(epoch.members):
            epoch.signed[name] = epoch.signed.get(name, 0) + (bits >> place & 1)

    # ---- Figures

    def attendance(self) -> dict[str, Any]:
        """Of each with real stake: in how many whole epochs it was in the set, active, and its smallest share."""
        whole = sorted(self.epochs.values(), key=lambda each: each.number)[:-1]
        found: dict[str, Any] = {}
        for name in NAMES[1:]:
            shares = [each.share(name) for each in whole if each.powers.get(name)]
            found[name] = {
                "epochs_in_the_set": len(shares),
                "epochs_active": sum(share >= 0.9 for share in shares),
                "mean_share_signed": round(sum(shares) / len(shares), 4) if shares else None,
                "smallest_share_signed": round(min(shares), 4) if shares else None,
            }
        return found

    def sets(self) -> list[dict[str, Any]]:
        """The set of every epoch in which it was another one than before, in NEURO."""
        found: list[dict[str, Any]] = []
        for number, epoch in sorted(self.epochs.items()):
            powers = {name: round(epoch.powers[name] / NEURO, 3) for name in NAMES if epoch.powers.get(name)}
            if not found or found[-1]["powers"] != powers:
                found.append({"epoch": number, "powers": powers})
        return found


def read(directory: Any, identities: Sequence[Identity]) -> Record:
    """Replay a stopped node's ledger and models; every rule is checked. Raises an error of the family."""
    home = DataDirectory(directory)
    database = open_key_value(home / "ledger")
    try:
        record = Record(identities)
        replay = Replay(database, kept_network(home / "network"), PayloadStore(home / "payloads"))
        replay.hear.append(record.hear)
        record.outer_root = replay.run().outer_root
    finally:
        database.close()
    return record
