"""What can still be verified of the receipts by wallet where they cannot be computed again: that they fit together."""

from chain.block import Header
from chain.errors import NeuroError
from chain.genesis import Network, genesis_state
from node.archive_stored import ArchiveDiffers
from node.key_value import KeyValue
from node.receipt_index import ADDRESS_BYTES, Reached, Sums, Told, day_at, day_of
from node.store import RECEIPTS, number


class WalletCheck:
    """One pass over the records of wallets in a pruned or restored ledger."""

    def __init__(self, database: KeyValue, network: Network, tip: Header) -> None:
        self.database = database
        self.network = network
        self.tip = tip
        self.begun = int.from_bytes(database.get(RECEIPTS) or b"", "big")

    def run(self) -> None:
        """Raises ArchiveDiffers."""
        try:
            self._compare_lists()
            self._add_up()
        except ArchiveDiffers:
            raise
        except NeuroError as error:
            raise self._differs(f"is damaged: {error}") from error

    def _differs(self, words: str) -> ArchiveDiffers:
        return ArchiveDiffers(f"after height {self.tip.height} the stored receipt index {words}")

    def _compare_lists(self) -> None:
        """Each block's list names the wallets that have a record of it, and no record is without a list."""
        listed = 0
        for key, data in self.database.items(b"r"):
            height = self._height(key)
            if self.database.get(b"b" + number(height)) is None:
                raise self._differs(f"tells of block {height}, whose body is not kept")
            for wallet in Reached.decode(data).wallets:
                told = self.database.get(b"w" + wallet + number(height))
                if told is None or not Told.decode(told).receipts:
                    raise self._differs(f"lacks what block {height} brought about for a wallet that it lists")
                listed += 1
        found = sum(bool(self._height(key)) for key, _ in self.database.items(b"w"))
        if found != listed:
            raise self._differs(f"has {found} records of wallets, the blocks list {listed}")

    def _height(self, key: bytes) -> int:
        height = int.from_bytes(key[-8:], "big")
        if not self.begun < height <= self.tip.height:
            raise self._differs(f"tells of block {height}, it should tell of {self.begun + 1} to {self.tip.height}")
        return height

    def _add_up(self) -> None:
        """All wallets together were paid and lost what the headers say; the newest sums of each come first."""
        minted, burned, newest, newer = 0, 0, b"", Sums()
        today = day_at(self.tip.time_ms)
        for key, data in self.database.items(b"d"):
            wallet, sums = key[1 : 1 + ADDRESS_BYTES], Sums.decode(data)
            if day_of(key) > today:
                raise self._differs("tells of a day that has not come")
            if wallet != newest:
                minted, burned = minted + sums.minted, burned + sums.burned
            elif any(getattr(sums, name) > getattr(newer, name) for name in Sums.__dataclass_fields__):
                raise self._differs("has sums of a wallet that became smaller")
            newest, newer = wallet, sums
        before = self._totals_before()
        if before is not None and (minted, burned) != (self.tip.minted - before[0], self.tip.burned - before[1]):
            raise self._differs(f"adds up to {minted} nanos minted and {burned} burned, the headers say otherwise")

    def _totals_before(self) -> tuple[int, int] | None:
        """(minted, burned) where the index begins, if that header is here."""
        if not self.begun:
            supply = genesis_state(self.network).supply
            return supply.minted, supply.burned
        if self.begun == self.tip.height:
            return self.tip.minted, self.tip.burned
        data = self.database.get(b"e" + number(self.begun))
        if data is None:
            return None
        header = Header.decode(data)
        return header.minted, header.burned
