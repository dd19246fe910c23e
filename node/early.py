"""Messages of the next epoch that come before this node is in it. Bounded for each peer: nothing can be checked yet."""

from dataclasses import dataclass, field

from chain.block import Block
from consensus.messages import Message, Proposal
from consensus.state import VIEWS_AHEAD

MESSAGES_OF_PEER = 1_024
BLOCKS_OF_PEER, BLOCKS_MAXIMUM = 1, 8  # of up to 8 MiB


@dataclass(slots=True)
class _Kept:
    """What one peer has said, each with its place in the order of all."""

    messages: list[tuple[int, Message, Block | None]] = field(default_factory=list)
    blocks: int = 0


class Early:
    """What falls out is as if the network had lost it: votes are repeated, blocks can be fetched."""

    def __init__(self) -> None:
        self._peers: dict[bytes, _Kept] = {}
        self._blocks = 0
        self._serial = 0

    def __len__(self) -> int:
        return sum(len(kept.messages) for kept in self._peers.values())

    def wants(self, key: bytes, proposal: Proposal) -> bool:
        """Whether there is room for the block of a proposal: it is one of the first views, and its peer's only one."""
        kept = self._peers.get(key)
        is_first = kept is None or kept.blocks < BLOCKS_OF_PEER
        return is_first and self._blocks < BLOCKS_MAXIMUM and proposal.view <= VIEWS_AHEAD + 1

    def add(self, key: bytes, message: Message, block: Block | None) -> None:
        if isinstance(message, Proposal) and not self.wants(key, message):
            return
        kept = self._peers.setdefault(key, _Kept())
        if len(kept.messages) < MESSAGES_OF_PEER:
            self._serial += 1
            kept.messages.append((self._serial, message, block))
            kept.blocks += block is not None
            self._blocks += block is not None

    def left(self, key: bytes) -> None:
        kept = self._peers.pop(key, None)
        if kept is not None:
            self._blocks -= kept.blocks

    def take(self) -> list[tuple[bytes, Message, Block | None]]:
        """All of it, in the order in which it came; nothing is kept."""
        found = [
            (serial, key, message, block)
            for key, kept in self._peers.items()
            for serial, message, block in kept.messages
        ]
        self._peers.clear()
        self._blocks = 0
        return [(key, message, block) for _, key, message, block in sorted(found, key=lambda each: each[0])]
