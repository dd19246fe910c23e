"""What happens on the network, in a line for people: the words of the events that a wallet listens to."""

from collections.abc import Callable, Collection

from chain.address import to_text
from wallet.amounts import neuro
from wallet.answered import Answered

# How money that came without a transfer is called. What a newer node names otherwise is told by its own name.
EARNINGS = {
    "training": "training",
    "reward": "training",
    "uptime": "uptime",
    "data": "serving data",
    "audit": "auditing",
    "fraud_reward": "uncovering fraud",
}
CHANGES = {
    "released": "released, yours to spend",
    "forfeited": "forfeited",
    "auto_bonded": "bonded from rewards",
    "stake_left": "left the stake",
    "jailed": "at stake; the validator is jailed",
    "slashed": "taken from the stake",
}
NODE_DIGITS = 8
NameOf = Callable[[bytes], str | None]


def told(kind: str, content: Answered, own: Collection[bytes], name_of: NameOf) -> str | None:
    """A line for an event, None where it says nothing to a wallet. Raises BadAnswer.

    `own` are the wallet's addresses, `name_of` gives the name of an address if it has one.
    """
    match kind:
        case "payment":
            return _payment(content, own, name_of) + _left_out(content)
        case "earning":
            return _earning(content) + _left_out(content)
        case "round_closed":
            return f"Round {content.whole('round')} is finished: the model has learnt."
        case "round_void":
            return f"Round {content.whole('round')} has ended without a result."
    return None


def named(address: bytes, name_of: NameOf) -> str:
    """A name if there is one, else the whole address: nobody can compare a shortened one."""
    return name_of(address) or to_text(address)


def _payment(content: Answered, own: Collection[bytes], name_of: NameOf) -> str:
    payer, payee, amount = content.address("from"), content.address("to"), neuro(content.nanos("amount_nanos"))
    if payer in own and payee in own:
        return f"Moved: {amount} from {named(payer, name_of)} to {named(payee, name_of)}."
    if payer in own:
        return f"Sent: {amount} to {named(payee, name_of)} is final."
    return f"Received: {amount} from {named(payer, name_of)}."


def _earning(content: Answered) -> str:
    kind, amount = content.text("kind"), neuro(content.nanos("amount_nanos"))
    if kind in CHANGES:
        return f"{amount} {CHANGES[kind]}{_source(content)}."
    return f"Earned: {amount} for {EARNINGS.get(kind, kind)}{_source(content)}."


def _source(content: Answered) -> str:
    number, node = content.maybe("round", content.whole), content.maybe("node", content.hexadecimal)
    parts = [] if number is None else [f"round {number}"]
    parts += [f"node {node.hex()[:NODE_DIGITS]}"] if node else []
    return f" ({', '.join(parts)})" if parts else ""


def _left_out(content: Answered) -> str:
    """Of one block not all events are told."""
    more = content.maybe("left_out", content.whole)
    return f" And {more} more like this in the same block: `history` has all." if more else ""
