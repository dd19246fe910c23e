"""The tables of an export: their columns, and the rows that a block gives. Amounts are whole nanos, never floats."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from chain.address import address_of, to_text
from chain.block import Block, Proof
from chain.crypto.votes import Evidence
from chain.receipts import (
    BASE_FEE,
    DATA,
    PROOF_FEE,
    SERVICE_SHARE,
    SLASHED,
    UPTIME,
    AuditPaid,
    AutoBonded,
    Burned,
    FraudRewarded,
    Minted,
    Receipt,
    Released,
    RoundClosed,
    RoundVoid,
    ServicePaid,
    Tombstoned,
    TransactionApplied,
)
from chain.rounds import agreed_outcome, counted
from chain.state import CLOSED, ROUND_PHASES, VOID, Round, State
from chain.transactions import (
    Bond,
    MultiTransfer,
    RegisterNode,
    RetireNode,
    ServicePayment,
    Transaction,
    Transfer,
    Unbond,
    Unjail,
    Withdraw,
)
from chain.transition import Applied

Row = dict[str, Any]
# DuckDB and others know 38 decimal digits; a larger amount, which cannot come about, would end the export in words.
NANOS = pa.decimal128(38, 0)
TIME = pa.timestamp("ms", tz="UTC")
HEX = pa.string()

PAYMENT = pa.struct([("payee", pa.string()), ("amount", NANOS)])
KINDS: dict[type, str] = {
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
REASONS = {BASE_FEE: "base_fee", SERVICE_SHARE: "service_share", PROOF_FEE: "proof_fee", SLASHED: "slashed"}

SERVICES = {UPTIME: "uptime", DATA: "data"}


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


SCHEMAS = {
    "blocks": _schema(
        height=pa.uint64(), hash=HEX, parent_hash=HEX, epoch=pa.uint64(), view=pa.uint64(), time=TIME,
        proposer=pa.uint16(), phase=pa.uint8(), transactions=pa.uint32(), proofs=pa.uint32(), round_inputs=pa.uint32(),
        bytes=pa.uint64(), minted_total=NANOS, burned_total=NANOS, state_root=HEX,
    ),
    "transactions": _schema(
        height=pa.uint64(), index=pa.uint32(), id=HEX, kind=pa.string(), sender=pa.string(), nonce=pa.uint64(),
        max_fee=pa.uint64(), tip=pa.uint64(), gas=pa.uint64(), fee=NANOS, amount=NANOS, payee=pa.string(),
        payments=pa.list_(PAYMENT), reference=HEX, node_key=HEX, validator_key=HEX,
    ),
    "proofs": _schema(
        height=pa.uint64(), index=pa.uint32(), id=HEX, node=HEX, wallet=pa.string(), kind=pa.uint8(), role=pa.uint8(),
        first_layer=pa.uint16(), last_layer=pa.uint16(), round=pa.uint64(), segment=pa.uint32(), data_first=pa.uint64(),
        data_count=pa.uint64(), batches=pa.uint32(), tokens=pa.uint64(), samples=pa.uint64(), loss_milli=pa.uint32(),
        time=TIME, nonce=pa.uint64(), base_root=HEX, state_before=HEX, state_after=HEX,
    ),
    "rewards": _schema(
        height=pa.uint64(), index=pa.uint32(), kind=pa.string(), reason=pa.string(), round=pa.uint64(), node=HEX,
        wallet=pa.string(), amount=NANOS,
    ),
    "rounds": _schema(
        round=pa.uint64(), phase=pa.string(), opened_height=pa.uint64(), ended_height=pa.uint64(),
        participants=pa.uint64(), committed=pa.uint32(), revealed=pa.uint32(), counted=pa.uint32(), mix=HEX,
        base_outer_root=HEX, outer_root=HEX, model_root=HEX,
    ),
}  # fmt: skip


def nanos(amount: int) -> Decimal:
    """An amount as the tables hold it: exact, since Decimal is only a carrier of the digits."""
    return Decimal(amount)


def block_row(block: Block) -> Row:
    header, body = block.header, block.body
    return {
        "height": header.height,
        "hash": header.hash().hex(),
        "parent_hash": header.parent_hash.hex(),
        "epoch": header.epoch,
        "view": header.view,
        "time": header.time_ms,
        "proposer": header.proposer,
        "phase": header.phase,
        "transactions": len(body.transactions),
        "proofs": len(body.proofs),
        "round_inputs": len(body.rounds),
        "bytes": len(block.encode()),
        "minted_total": nanos(header.minted),
        "burned_total": nanos(header.burned),
        "state_root": header.state_root.hex(),
    }


def transaction_rows(applied: Applied, chain_id: bytes) -> Iterator[Row]:
    """Transactions with what they cost: a fee-free one has no receipt of its fee."""
    paid = {receipt.id: receipt for receipt in applied.receipts if isinstance(receipt, TransactionApplied)}
    height = applied.block.header.height
    for index, transaction in enumerate(applied.block.body.transactions):
        identity = transaction.id(chain_id)
        receipt = paid.get(identity)
        yield {
            "height": height,
            "index": index,
            "id": identity.hex(),
            "kind": KINDS[type(transaction.action)],
            "sender": to_text(address_of(transaction.sender)),
            "nonce": transaction.nonce,
            "max_fee": transaction.max_fee,
            "tip": transaction.tip,
            "gas": receipt.gas if receipt else None,
            "fee": nanos(receipt.fee if receipt else 0),
            **_action(transaction),
        }


def _action(transaction: Transaction) -> Row:
    match transaction.action:
        case Transfer(payee=payee, amount=amount):
            return {"amount": nanos(amount), "payee": to_text(payee)}
        case MultiTransfer(payments=payments):
            listed = [{"payee": to_text(payment.payee), "amount": nanos(payment.amount)} for payment in payments]
            return {"amount": nanos(sum(payment.amount for payment in payments)), "payments": listed}
        case ServicePayment(payee=payee, amount=amount, reference=reference):
            return {"amount": nanos(amount), "payee": to_text(payee), "reference": reference.hex()}
        case RegisterNode(node_key=key) | RetireNode(node_key=key):
            return {"node_key": key.hex()}
        case Bond(amount=amount, public_key=key):
            return {"amount": nanos(amount), "validator_key": key.hex()}
        case Unbond(amount=amount):
            return {"amount": nanos(amount)}
        case _:
            return {}


def proof_rows(block: Block, chain_id: bytes) -> Iterator[Row]:
    for index, proof in enumerate(block.body.proofs):
        yield {"height": block.header.height, "index": index, **_proof(proof, chain_id)}


def _proof(proof: Proof, chain_id: bytes) -> Row:
    plain = (
        "kind", "role", "first_layer", "last_layer", "round", "segment", "data_first", "data_count", "batches",
        "tokens", "samples", "loss_milli", "nonce",
    )  # fmt: skip
    return {
        **{name: getattr(proof, name) for name in plain},
        "id": proof.id(chain_id).hex(),
        "node": proof.node.hex(),
        "wallet": to_text(proof.wallet),
        "time": proof.time_ms,
        "base_root": proof.base_root.hex(),
        "state_before": proof.state_before.hex(),
        "state_after": proof.state_after.hex(),
    }


def reward_rows(height: int, receipts: Sequence[Receipt]) -> Iterator[Row]:
    """What was minted, burned, released, bonded by itself, or paid to a reporter. `index`: the receipt in its block."""
    for index, receipt in enumerate(receipts):
        found = _reward(receipt)
        if found is not None:
            yield {"height": height, "index": index, **found}


def _reward(receipt: Receipt) -> Row | None:
    match receipt:
        case Minted():
            found: Row = {"kind": "minted", "round": receipt.round, "node": receipt.node.hex()}
        case Released():
            found = {"kind": "released", "round": receipt.round, "node": receipt.node.hex()}
        case Burned():
            return {"kind": "burned", "reason": REASONS[receipt.reason], **_paid(receipt.payer, receipt.amount)}
        case ServicePaid():
            found = {"kind": "minted", "reason": SERVICES[receipt.service], "node": receipt.node.hex()}
        case AuditPaid():
            found = {"kind": "minted", "reason": "audit"}
        case FraudRewarded():
            found = {"kind": "reporter_reward", "round": receipt.round, "node": receipt.node.hex()}
        case AutoBonded():
            found = {"kind": "auto_bonded"}
        case Tombstoned():
            return {"kind": "reporter_reward", **_paid(receipt.reporter, receipt.reward)}
        case _:
            return None
    return {**found, **_paid(receipt.wallet, receipt.amount)}


def _paid(wallet: bytes, amount: int) -> Row:
    return {"wallet": to_text(wallet), "amount": nanos(amount)}


def round_row(state: State, current: Round, ended_height: int | None) -> Row:
    """A round as `state` has it: at its end, or as it stands at the export."""
    outcome = agreed_outcome(state, current) if current.phase == CLOSED else None
    has_ended = current.phase in (CLOSED, VOID)
    return {
        "round": current.number,
        "phase": ROUND_PHASES[current.phase],
        "opened_height": current.opened_height,
        "ended_height": ended_height,
        "participants": current.participants,
        "committed": len(current.committed),
        "revealed": len(current.revealed),
        "counted": len(counted(state, current)) if has_ended and current.revealed else 0 if has_ended else None,
        "mix": current.mix.hex(),
        "base_outer_root": current.base.outer_root.hex(),
        "outer_root": outcome.outer_root.hex() if outcome else None,
        "model_root": outcome.model_root.hex() if outcome else None,
    }


def ended_row(state: State, receipt: RoundClosed | RoundVoid, height: int) -> Row:
    """A round at its end. Without a vesting time its record can be gone by then, and the receipt tells the rest."""
    current = state.round(receipt.round)
    if current is not None:
        return round_row(state, current, height)
    outcome = receipt.outcome if isinstance(receipt, RoundClosed) else None
    return {
        "round": receipt.round,
        "phase": ROUND_PHASES[CLOSED if outcome else VOID],
        "ended_height": height,
        "outer_root": outcome.outer_root.hex() if outcome else None,
        "model_root": outcome.model_root.hex() if outcome else None,
    }
