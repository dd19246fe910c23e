"""What can still be verified where the bodies of old blocks are not kept. Start reading at `PrunedCheck.run`.

Nothing can be executed from the genesis. But the headers hang together by their hashes, certificates make them final,
and the tip's header names the root of the whole state, which is rebuilt from its records.
"""

from dataclasses import dataclass

from chain.block import (
    Block,
    Header,
    certificate_root,
    encode_round_input,
    validators_root,
)
from chain.crypto.hashing import ZERO, merkle_root
from chain.errors import InvalidBlock, NeuroError
from chain.genesis import Network, bootstrap_members
from chain.state import State, ValidatorSet, set_key
from chain.tree import Update
from node.archive_stored import (
    ArchiveDiffers,
    Progress,
    by_prefix,
    check_beginning,
    check_kept,
    compare,
    recount,
    silent,
    tip_of,
)
from node.archive_wallets import WalletCheck
from node.certificates import check_parent_certificate
from node.errors import StoreError
from node.key_value import KeyValue
from node.model_store import ModelStore
from node.payload_store import PayloadStore
from node.receipt_index import nodes_of_state
from node.set_chain import Members, check_final, committee
from node.store import PRUNED, body_entries, first_headers, header_heights, number


@dataclass(slots=True)
class PrunedCounts:
    """What was checked. Certificates of sets that the state has forgotten are only counted."""

    pruned_height: int
    first_header: int
    blocks: int = 0  # headers
    bodies: int = 0
    certificates: int = 0
    certificates_unchecked: int = 0
    transactions: int = 0
    proofs: int = 0
    payloads: int = 0
    minted_nanos: int = 0
    burned_nanos: int = 0
    state_root: str = ""
    outer_root: str = ""


class PrunedCheck:
    """One pass over a pruned or restored ledger, with all state in memory."""

    def __init__(self, database: KeyValue, network: Network, payloads: PayloadStore, models: ModelStore) -> None:
        self.database = database
        self.network = network
        self.payloads = payloads
        self.models = models
        self.tip = tip_of(database)
        self.flat = {key[1:]: value for key, value in database.items(b"s")}
        self.state = State(self.flat.get)
        self.pruned = int.from_bytes(database.get(PRUNED) or b"", "big")
        self.members: Members = bootstrap_members(network, 0)
        self.indexes: dict[bytes, dict[bytes, bytes]] = {b"h": {}, b"x": {}, b"i": {}, b"e": {}}
        self.counts = PrunedCounts(self.pruned, first_headers(database)[0])

    def run(self, progress: Progress = silent) -> PrunedCounts:
        """Verify what is there. Raises ArchiveDiffers."""
        check_beginning(self.database, self.network)
        header = self._headers(progress)
        self._compare_state(header)
        check_kept(self.database, self.state, self.network.chain_id, self.tip)
        recount(self.flat)
        check_model_file(self.models, self.network, self.state)
        self.counts.outer_root = self.state.ledger.model.outer_root.hex()
        self._check_payloads()
        return self.counts

    def _headers(self, progress: Progress) -> Header:
        before: Header | None = None
        certified = 0
        for height in header_heights(self.database, self.tip, self.network.params.epoch_blocks):
            try:
                before, is_certified = self._header(height, before)
            except NeuroError as error:
                raise ArchiveDiffers(f"height {height} differs: {error}") from error
            certified = height if is_certified else certified
            progress(height, self.tip)
        if before is None or before.height != self.tip or certified != self.tip:
            raise ArchiveDiffers(f"height {self.tip} differs: no finalization certificate covers it")
        return before

    def _header(self, height: int, before: Header | None) -> tuple[Header, bool]:
        """Check one header, and its body if it is kept."""
        body = self.database.get(b"b" + number(height))
        head = self.database.get(b"e" + number(height))
        certificate = self.database.get(b"f" + number(height))
        if certificate is None or (body is None and (head is None or height > self.pruned)):
            raise StoreError("the block or its certificate is missing")
        block = None if body is None else Block.decode(body)
        header = block.header if block is not None else Header.decode(head or b"")
        if header.height != height or header.chain_id != self.network.chain_id:
            raise InvalidBlock("another block lies in its place")
        is_linked = before is not None and before.height == height - 1
        if (is_linked or height == 1) and header.parent_hash != (before.hash() if before else self.network.chain_id):
            raise InvalidBlock("it does not stand on the block before it")
        members_before = self.members
        is_certified = self._check_certificate(header, certificate, is_linked or height == 1)
        if block is not None:
            self._body(block, before if is_linked else None, members_before)
        else:
            self.indexes[b"e"][number(height)] = head or b""
        self.indexes[b"h"][header.hash()] = number(height)
        self.counts.blocks += 1
        return header, is_certified

    def _check_certificate(self, header: Header, certificate: bytes, is_linked: bool) -> bool:
        members = self._members_of(header)
        if certificate and members is not None:
            check_final(header, certificate, members, self.network)
            self.counts.certificates += 1
            return True
        if not is_linked and not certificate:
            raise StoreError("nothing but a certificate could vouch for this header, and there is none")
        self.counts.certificates_unchecked += bool(certificate)
        return False

    def _members_of(self, header: Header) -> Members | None:
        """The validator set that a header names: the one before, or the state's; None if both have another root."""
        if validators_root(self.members) != header.validators_root:
            kept = self.state.find(ValidatorSet, set_key(header.epoch))
            if kept is None or validators_root(kept.members) != header.validators_root:
                return None
            self.members = kept.members
        return self.members

    def _body(self, block: Block, before: Header | None, members_before: Members) -> None:
        header, body = block.header, block.body
        roots = (
            certificate_root(body.parent_certificate),
            merkle_root([proof.encode() for proof in body.proofs]),
            merkle_root([transaction.encode() for transaction in body.transactions]),
            merkle_root([encode_round_input(item) for item in body.rounds]),
        )
        if roots != (header.certificate_root, header.proofs_root, header.transactions_root, header.rounds_root):
            raise InvalidBlock("its body is not the one that its header names")
        if before is not None and validators_root(members_before) == before.validators_root:
            check_parent_certificate(block, before, committee(members_before), self.network.chain_id)
        for key, value in body_entries(block, self.network).items():
            self.indexes[key[:1]][key[1:]] = value
        self.counts.bodies += 1
        self.counts.transactions += len(body.transactions)
        self.counts.proofs += len(body.proofs)

    def _compare_state(self, header: Header) -> None:
        tree = Update(lambda _: None)
        root = tree.apply(ZERO, self.flat)
        if root != header.state_root:
            raise ArchiveDiffers(
                f"after height {self.tip} the stored state has the root {root.hex()[:16]}, the header names "
                f"{header.state_root.hex()[:16]}"
            )
        nodes = nodes_of_state(self.database.items(b"sn"))
        compare(self.database, self.tip, {b"t": tree.fresh, **by_prefix(nodes, (b"n",)), **self.indexes})
        self._check_rounds()
        WalletCheck(self.database, self.network, header).run()
        supply = self.state.supply
        if (supply.minted, supply.burned) != (header.minted, header.burned):
            raise ArchiveDiffers(f"after height {self.tip} the header names other amounts minted and burned")
        self.counts.minted_nanos, self.counts.burned_nanos = header.minted, header.burned
        self.counts.state_root = root.hex()

    def _check_rounds(self) -> None:
        """Where rounds ended cannot be computed again; but they end one after the other."""
        ended, last = self.state.ledger.ended_round, 0
        for key, value in self.database.items(b"o"):
            round_number, height = int.from_bytes(key[1:], "big"), int.from_bytes(value, "big")
            if round_number > ended or not last <= height <= self.tip:
                raise ArchiveDiffers(f"after height {self.tip} the stored round index differs at round {round_number}")
            last = height

    def _check_payloads(self) -> None:
        """Those of the rounds that are not released, as far as this node has them."""
        ledger = self.state.ledger
        for round_number in range(ledger.released_round + 1, ledger.round + 1):
            current = self.state.round(round_number)
            for payload in current.revealed if current is not None else ():
                if self.payloads.path(payload.payload_root).exists():
                    self._check_payload(payload.payload_root)

    def _check_payload(self, root: bytes) -> None:
        try:
            self.payloads.get(root)
        except StoreError as error:
            raise ArchiveDiffers(str(error)) from error
        self.counts.payloads += 1


def check_model_file(models: ModelStore, network: Network, state: State) -> None:
    """Raise ArchiveDiffers unless the ledger's model is here in a sound file, or is as it was born."""
    root = state.ledger.model.outer_root
    if root != network.start.outer_root and models.find(root) is None:
        raise ArchiveDiffers(
            f"the model with the outer root {root.hex()[:16]} is not in {models.folder}, and without the "
            "payloads it cannot be made again: restore this folder from a backup"
        )
