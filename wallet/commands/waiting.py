"""What was sent and is not settled: look at it, hurry it, take it back. The work is in `wallet.unsettled`."""

from typing import Annotated

from wallet.commands.parts import table
from wallet.kinds import FLAG, TransactionId
from wallet.registry import Answer, command
from wallet.session import Session
from wallet.spending import Spending

ONE = "the one that waits"


@command(
    "pending",
    "What you have sent lately, and what became of it.",
    group="money",
    examples=("pending", "pending --rebroadcast"),
)
def pending(
    session: Session, *, rebroadcast: Annotated[bool, FLAG, "hand in again what the node does not know"] = False
) -> Answer:
    from wallet.unsettled import entries, row_of

    found = entries(session, rebroadcast)
    head = ("id", "account", "nonce", "what", "state")
    rows = [row_of(session, each) for each in found]
    content = {"sent": [each.fields() for each in found]}
    return Answer(content, table(head, rows, empty="Nothing is on its way.", right=("nonce",)))


@command(
    "speed-up",
    "Send a waiting transaction again for a higher fee, so that it goes first.",
    group="money",
    examples=("speed-up 3fa9c1", "speed-up 3fa9c1 --tip 10"),
)
def speed_up(session: Session, identity: Annotated[TransactionId, ONE], *, spending: Spending) -> Answer:
    from wallet import nonces
    from wallet.unsettled import replace

    return replace(session, identity, spending, nonces.speed_up, "Sign this in place of the one that waits?")


@command(
    "cancel",
    "Put a payment of nothing to yourself in the place of a waiting transaction. It costs a fee.",
    group="money",
    examples=("cancel 3fa9c1",),
)
def cancel(session: Session, identity: Annotated[TransactionId, ONE], *, spending: Spending) -> Answer:
    from wallet import nonces
    from wallet.unsettled import replace

    return replace(session, identity, spending, nonces.cancel, "Sign this, which undoes the one that waits?")
