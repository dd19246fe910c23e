"""What a transaction asks for, as a JSON object that has the same fields for every type."""

from typing import Any

from chain.address import to_text
from chain.codec import Wire
from chain.crypto.votes import KIND_NAMES, Evidence, Vote
from chain.transactions import (
    Action,
    Bond,
    MultiTransfer,
    RegisterNode,
    RetireNode,
    ServicePayment,
    Transfer,
    Unbond,
    Unjail,
    Withdraw,
)

ACTION_NAMES: dict[type[Wire], str] = {
    Transfer: "transfer",
    MultiTransfer: "multi_transfer",
    RegisterNode: "register_node",
    RetireNode: "retire_node",
    Bond: "bond",
    Unbond: "unbond",
    Withdraw: "withdraw",
    Unjail: "unjail",
    Evidence: "evidence",
    ServicePayment: "service_payment",
}
FIELDS = ("payee", "amount_nanos", "reference", "payments", "node_key", "validator_intent", "validator_key", "evidence")


def action_fields(action: Action) -> dict[str, Any]:
    """The type and what it says; null where the type says nothing of the sort."""
    told: dict[str, Any] = {"type": ACTION_NAMES[type(action)], **dict.fromkeys(FIELDS)}
    match action:
        case Transfer(payee=payee, amount=amount):
            told |= {"payee": to_text(payee), "amount_nanos": str(amount)}
        case MultiTransfer(payments=payments):
            told["payments"] = [{"payee": to_text(each.payee), "amount_nanos": str(each.amount)} for each in payments]
        case ServicePayment(payee=payee, amount=amount, reference=reference):
            told |= {"payee": to_text(payee), "amount_nanos": str(amount), "reference": reference.hex()}
        case RegisterNode(node_key=key, validator_intent=intent):
            told |= {"node_key": key.hex(), "validator_intent": bool(intent)}
        case RetireNode(node_key=key):
            told["node_key"] = key.hex()
        case Bond(amount=amount, public_key=key):
            told |= {"amount_nanos": str(amount), "validator_key": key.hex()}
        case Unbond(amount=amount):
            told["amount_nanos"] = str(amount)
        case Evidence(first=first, second=second):
            told["evidence"] = {
                "epoch": first.epoch,
                "view": first.view,
                "signer": first.signer,
                "votes": [vote_fields(first), vote_fields(second)],
            }
    return told


def vote_fields(vote: Vote) -> dict[str, str]:
    """A vote of evidence."""
    return {"kind": KIND_NAMES[vote.kind].lower(), "block_hash": vote.block_hash.hex()}
