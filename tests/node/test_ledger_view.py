"""Blocks above the finalized chain, while the disk works in a thread beside the event loop."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chain.transition import Applied
from consensus.messages import FINALIZE, NOTARIZE
from tests.node.lone_node import LoneNode


class Interrupted(dict[bytes, Applied]):
    """A table of blocks that another thread adds to while it is looked through."""

    def __init__(self, known: dict[bytes, Applied], more: Applied) -> None:
        super().__init__(known)
        self.more = more

    def items(self) -> Any:
        def entries() -> Iterator[tuple[bytes, Applied]]:
            yield from list(super(Interrupted, self).items())
            self[self.more.block.header.hash()] = self.more

        return entries()


def test_a_block_built_while_its_parent_becomes_final_is_not_forgotten(tmp_path: Path) -> None:
    node = LoneNode(tmp_path / "node")
    parent = node.build()
    node.view.keep(node.certify(NOTARIZE, parent))
    node.view.tip, finalized = parent.parent, node.view.tip
    child = node.build()
    node.view.tip = finalized
    node.view._pending.pop(child.block.header.hash())
    node.view._pending = Interrupted(node.view._pending, child)
    node.view.finalize(parent.block.header.hash(), node.certify(FINALIZE, parent))
    assert node.view.knows(child.block.header.hash())
    assert not node.view.knows(parent.block.header.hash())
