"""What an account has earned and done: history, earnings by day and kind, nodes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

from chain.address import to_text
from wallet.amounts import neuro, plain_amount
from wallet.answered import Answered
from wallet.commands.network import SHORT, pages
from wallet.commands.parts import Show, moment, one_after_another, percent, table, words
from wallet.errors import Refused
from wallet.kinds import COUNT, Count, Named, NumberKind, Payee
from wallet.registry import Answer, command
from wallet.session import Session
from wallet.told import NODE_DIGITS

if TYPE_CHECKING:
    from rich.console import Console

Kind = TypeVar("Kind")
DAYS = NumberKind("DAYS", 1, 366, "how many days, today included")
# Kinds of income, how the chart draws them, and their colour there: the glyphs alone tell them apart.
KINDS = (
    ("training", "█", "green"),
    ("uptime", "▓", "cyan"),
    ("data", "▒", "blue"),
    ("audit", "░", "magenta"),
    ("fraud_reward", "▚", "yellow"),
)
BESIDE = ("released", "forfeited", "burned")
INCOME = {
    *("received", "reward", "released", "uptime", "data", "audit", "fraud_reward"),
}
OUTGO = {"sent", "forfeited", "slashed", "bonded", "auto_bonded"}
Of = Annotated[Payee | None, "whose; without it, of your first account"]


def whose(session: Session, payee: Named | None) -> bytes:
    """The address that is meant. Raises NoWallet."""
    return session.account().address if payee is None else payee.address


@command(
    "history",
    "What came and went, newest first: payments, rewards, stake.",
    group="money",
    examples=("history", "history --limit 100", "history alice"),
)
def history(
    session: Session, payee: Of = None, *, limit: Annotated[Count, COUNT, "how many entries at most"] = 20
) -> Answer:
    address = whose(session, payee)
    path = f"/v1/accounts/{to_text(address)}"
    try:
        entries = pages(session, f"{path}/history", "entries", limit, {})
    except Refused as refused:
        if refused.status != 404:
            raise
        return _transactions(session, address, path, limit)
    head = ("when (UTC)", "what", "amount", "fee", "with", "height")
    rows = [_entry_row(session, each) for each in entries]
    content = {"address": to_text(address), "entries": [dict(each.raw) for each in entries]}
    return Answer(content, table(head, rows, empty="Nothing yet.", right=("amount", "fee", "height")))


def _entry_row(session: Session, each: Answered) -> tuple[str, ...]:
    kind, amount = each.text("kind"), each.maybe("amount_nanos", each.nanos)
    fee = each.maybe("fee_nanos", each.nanos)
    sign = "+" if kind in INCOME else "-" if kind in OUTGO else ""
    if each.has("counterparty"):
        beside = session.called(each.address("counterparty"))
    elif each.has("round"):
        node = each.maybe("node", each.text)
        beside = f"round {each.whole('round')}" + (f", node {node[:NODE_DIGITS]}" if node else "")
    else:
        beside = "-"
    return (
        moment(each.whole("time_ms")),
        kind.replace("_", " "),
        "-" if amount is None else f"{sign}{neuro(amount)}",
        plain_amount(fee) if fee else "-",
        beside,
        f"{each.whole('height'):,}",
    )


def _transactions(session: Session, address: bytes, path: str, limit: int) -> Answer:
    """What a node without an index of receipts knows."""
    found = pages(session, f"{path}/transactions", "transactions", limit, {})
    rows = []
    for each in found:
        action = each.object("action")
        amount = action.maybe("amount_nanos", action.nanos)
        time_ms = each.maybe("time_ms", each.whole)
        rows.append(
            (
                "waits" if time_ms is None else moment(time_ms),
                action.text("type").replace("_", " "),
                "-" if amount is None else neuro(amount),
                session.called(action.address("payee")) if action.has("payee") else "-",
                each.hexadecimal("id", 32).hex()[:SHORT],
            )
        )
    content = {"address": to_text(address), "transactions": [dict(each.raw) for each in found]}
    note = "The node is of an earlier version: it tells transactions, but no rewards."
    head = ("when (UTC)", "what", "amount", "to", "id")
    return Answer(content, table(head, rows, note, empty="Nothing yet.", right=("amount",)))


@command(
    "earnings",
    "What was earned by day and kind, with a chart.",
    group="money",
    examples=("earnings", "earnings --days 7"),
)
def earnings(
    session: Session, payee: Of = None, *, days: Annotated[int, DAYS, "how many days, today included"] = 30
) -> Answer:
    address = whose(session, payee)
    found = _known_to_new(lambda: session.client.get(f"/v1/accounts/{to_text(address)}/earnings", {"days": days}))
    rows = [(each.text("day"), [each.nanos(f"{kind}_nanos") for kind, _, _ in KINDS]) for each in found.objects("days")]
    total = found.object("total")
    sums = [(kind, total.nanos(f"{kind}_nanos")) for kind, _, _ in KINDS]
    beside = [(kind, total.nanos(f"{kind}_nanos")) for kind in BESIDE]
    earned = sum(amount for _, amount in sums)
    first = found.whole("from_height")
    before = (
        []
        if first <= 1
        else [f"This node's record of earnings begins at block {first:,}: what was before is not in it."]
    )
    lines = [f"{days} days: {neuro(earned)} earned"]
    lines += [f"  {kind.replace('_', ' ')}: {neuro(amount)}" for kind, amount in (*sums, *beside) if amount]
    return Answer(dict(found.raw), one_after_another(words(*before), _chart(rows), words(*lines)))


def _chart(rows: Sequence[tuple[str, list[int]]]) -> Show:
    """A bar for each day, in proportion to the best one; kinds by glyph and colour."""

    def show(console: "Console") -> None:
        from rich.text import Text

        most = max((sum(amounts) for _, amounts in rows), default=0)
        if not most:
            console.print("Nothing was earned in these days.")
            return
        width = max(8, min(50, console.width - 36))
        for day, amounts in rows:
            line = Text(f"{day[:10]:<10}  ")
            for (_, glyph, colour), length in zip(KINDS, _lengths(amounts, most, width), strict=True):
                line.append(glyph * length, colour)
            line.append(f" {neuro(sum(amounts))}")
            console.print(line, overflow="fold")
        legend = Text()
        for place, (kind, glyph, colour) in enumerate(KINDS):
            if any(amounts[place] for _, amounts in rows):
                legend.append(f"{glyph} ", colour)
                legend.append(f"{kind.replace('_', ' ')}  ")
        console.print(legend)

    return show


def _lengths(amounts: Sequence[int], most: int, width: int) -> list[int]:
    """Whole glyphs of each kind: what is there at all has one at least, the sum stays in the width but for these."""
    return [max(1, amount * width // most) if amount else 0 for amount in amounts]


@command("nodes", "Your nodes: audits passed, what vests.", group="stake", examples=("nodes",))
def nodes(session: Session, payee: Of = None, *, limit: Annotated[Count, COUNT, "how many at most"] = 50) -> Answer:
    address = whose(session, payee)
    found = _known_to_new(lambda: pages(session, f"/v1/accounts/{to_text(address)}/nodes", "nodes", limit, {}))
    session.seen.nodes = tuple(each.hexadecimal("node", 32).hex() for each in found)
    rows = []
    for each in found:
        suspended = each.maybe("suspended_until_round", each.whole)
        state = "retired" if each.truth("retired") else f"suspended until round {suspended}" if suspended else "works"
        last = each.maybe("last_round", each.whole)
        rows.append(
            (
                each.hexadecimal("node", 32).hex()[:SHORT],
                state,
                str(each.whole("passes")),
                percent(each.whole("audit_share_basis_points")),
                "-" if last is None else str(last),
                neuro(each.nanos("vesting_nanos")),
            )
        )
    head = ("node", "state", "audits passed", "audited", "last round", "vesting")
    content = {"address": to_text(address), "nodes": [dict(each.raw) for each in found]}
    empty = "No node earns for this address: start one with `neuroshard`."
    return Answer(content, table(head, rows, empty=empty, right=("audits passed", "audited", "last round", "vesting")))


def _known_to_new(ask: Callable[[], Kind]) -> Kind:
    """What only nodes with an index of receipts can answer. Raises Refused in words where the path is unknown."""
    try:
        return ask()
    except Refused as refused:
        if refused.status == 404:
            raise Refused(
                refused.code, "the node is of an earlier version and does not know this: ask another with --api", 404
            ) from None
        raise
