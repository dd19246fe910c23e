"""A ledger and a record of votes that do not fit together are refused: one of the two has lost something."""

from pathlib import Path

import pytest

from chain.crypto.hashing import ZERO
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY
from node.consistency import open_sign_state
from node.errors import StoreError
from node.sign_state import SignState, SignStateError, owner_of
from tests.node.lone_node import IDENTITY, LoneNode, MemoryKeyValue, with_rounds

KEY = IDENTITY.validator_public_key


@pytest.fixture
def node(tmp_path: Path) -> LoneNode:
    """A node in the middle of its first epoch that has voted for every block of its ledger."""
    node = with_rounds(tmp_path / "node", 1)
    state = SignState.open(tmp_path / "sign-state", owner_of(node.network.chain_id, KEY))
    for height in range(1, node.view.tip.height + 1):
        stored = node.store.block(height)
        assert stored is not None
        header = stored.block.header
        for kind in (NOTARIZE, FINALIZE):
            state.record(kind, header.epoch, header.view, header.hash())
    state.close()
    return node


def opened(node: LoneNode) -> None:
    open_sign_state(node.folder.parent / "sign-state", node.reopened().view, KEY).close()


def vote(node: LoneNode, kind: int, view: int, block_hash: bytes) -> None:
    state = SignState.open(node.folder.parent / "sign-state", owner_of(node.network.chain_id, KEY))
    state.record(kind, node.view.tip.epoch, view, block_hash)
    state.close()


def test_votes_for_every_block_and_no_others_fit(node: LoneNode) -> None:
    opened(node)


def test_a_vote_for_a_block_that_is_held_fits_and_is_kept_to(node: LoneNode) -> None:
    applied = node.build()
    node.view.hold(applied.block.header.hash())
    vote(node, FINALIZE, node.view.tip.view + 1, applied.block.header.hash())
    opened(node)


def test_a_second_vote_for_a_block_that_is_final_fits(node: LoneNode) -> None:
    """The last block of an epoch may be proposed again in a later view."""
    vote(node, FINALIZE, node.view.tip.view + 1, node.view.tip.hash)
    opened(node)


@pytest.mark.parametrize(("kind", "block_hash"), [(NOTARIZE, b"\x07" * 32), (NULLIFY, ZERO)])
def test_votes_that_made_nothing_final_fit(node: LoneNode, kind: int, block_hash: bytes) -> None:
    vote(node, kind, node.view.tip.view + 1, block_hash)
    opened(node)


def test_a_vote_that_made_an_unknown_block_final_shows_that_the_ledger_lost_its_end(node: LoneNode) -> None:
    vote(node, FINALIZE, node.view.tip.view + 1, b"\x07" * 32)
    with pytest.raises(StoreError, match=r"this node has finalized blocks after it: they are lost; restore the whole"):
        opened(node)
    # Refusing let go of the file.
    with pytest.raises(StoreError):
        opened(node)


def test_a_floor_above_the_ledger_shows_that_the_ledger_lost_its_end(node: LoneNode) -> None:
    tip = node.view.tip
    for view, fits in ((tip.view, True), (tip.view + 1, False)):
        state = SignState.open(node.folder.parent / "sign-state", owner_of(node.network.chain_id, KEY))
        state.prune(tip.epoch, view)
        state.close()
        if fits:
            opened(node)
        else:
            with pytest.raises(StoreError, match="they are lost"):
                opened(node)


def test_a_record_of_votes_that_lacks_a_vote_of_the_ledger_is_refused(node: LoneNode) -> None:
    path = node.folder.parent / "sign-state"
    path.write_bytes(path.read_bytes()[:-57])
    with pytest.raises(SignStateError, match="votes are lost, and voting would be unsafe; restore the whole"):
        opened(node)
    path.unlink()
    with pytest.raises(SignStateError, match="votes are lost"):
        opened(node)


def test_an_empty_ledger_fits_an_empty_record(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    opened(LoneNode(tmp_path / "node", database=MemoryKeyValue()))
