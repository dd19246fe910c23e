"""What may be asked of accounts, nodes and events."""

from typing import Any, cast

from marshmallow import ValidationError, fields

from node.api.fields import ADDRESS_PATTERN, AddressText, HexPrefix, HexText, NumberText, Question, limit
from node.api.history_answers import CURSOR_BYTES
from node.api.rich_list import RANKS

DAYS_USUAL, DAYS_MAXIMUM = 30, 366
ADDRESSES_MAXIMUM = 16


# An index key ends with height and transaction id.
TRANSACTION_CURSOR_BYTES = 8 + 32


class AccountPath(Question):
    address = AddressText(required=True)


class TransactionsPage(Question):
    limit = limit()
    cursor = HexText(TRANSACTION_CURSOR_BYTES, load_default=None)


class HistoryPage(Question):
    limit = limit()
    cursor = HexText(CURSOR_BYTES, load_default=None)


class Days(Question):
    days = NumberText(1, DAYS_MAXIMUM, load_default=DAYS_USUAL)


class NodesPage(Question):
    """A page of a wallet's nodes: the cursor is the id of its first one."""

    limit = limit()
    cursor = HexText(32, load_default=None)


class NodePath(Question):
    """A node is named by its id or by the beginning of it."""

    node = HexPrefix(required=True)


class RichPage(Question):
    """A page of the list: the cursor is the rank before its first one."""

    limit = limit()
    cursor = NumberText(0, RANKS, load_default=None)


class AddressList(fields.String):
    """Addresses with commas between them, each once."""

    def __init__(self, **kwargs: Any) -> None:
        one = ADDRESS_PATTERN.strip("^$")
        super().__init__(metadata={"pattern": f"^{one}(,{one}){{0,{ADDRESSES_MAXIMUM - 1}}}$"}, **kwargs)
        self.one = AddressText()

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> frozenset[bytes]:  # type: ignore[override]
        texts = str(value).split(",", ADDRESSES_MAXIMUM)
        if len(texts) > ADDRESSES_MAXIMUM:
            raise ValidationError(f"at most {ADDRESSES_MAXIMUM} addresses are wanted")
        return frozenset[bytes](cast(bytes, self.one.deserialize(text)) for text in texts)


class EventsOf(Question):
    """Whose payments and earnings are told beside what everybody is told."""

    address = AddressList(load_default=frozenset())
