"""Audits and single proofs as JSON objects, with the explanation in words."""

from chain.address import to_text
from chain.audit_messages import ANSWERS, FINDINGS
from chain.state import AUDIT_PHASES, CLOSED, ROUND_PHASES, VOID, Claim, State, claim_key
from node.api.block_answers import Json
from node.api.faults import Refusal
from node.api.round_answers import is_told, reveals_of
from node.audit_facts import RELEASED, VESTING, AuditFacts, Auditor, ProofFacts, claimants, facts_of
from node.explain_audit import Explanation, explain
from node.past_audit import PastProof, explain_past, past_proof
from node.store import Store


def proof_of(store: Store, number: int, prefix: str) -> Json:
    """What is known of one node's work in a round. `prefix`: the first hexadecimal digits of the node's id."""
    state = store.state()
    if number > state.ledger.round:
        raise Refusal(404, f"round {number} has not opened; the newest is {state.ledger.round}")
    if not is_told(store, number):
        raise Refusal(404, f"this node keeps no blocks up to {store.pruned_height}, in which round {number} ended")
    current = state.round(number)
    if current is None:
        return _of_blocks(store, number, prefix)
    found = claimants(state, current)
    if number <= state.ledger.released_round and not any(node.hex().startswith(prefix) for node in found):
        return _of_blocks(store, number, prefix)
    node = the_one(found, prefix, number)
    if current.phase not in (CLOSED, VOID):
        raise Refusal(
            404,
            f"round {number} is not over ({ROUND_PHASES[current.phase]}): the block after its end draws who is audited",
        )
    heights = store.height_of_round(number), store.height
    facts = facts_of(state, store.network, current, node, heights)
    return _of_state(facts, explain(facts))


def the_one(nodes: list[bytes], prefix: str, number: int) -> bytes:
    """The node whose id begins so. Raises Refusal if none does, or several do."""
    found = sorted(node for node in nodes if node.hex().startswith(prefix))
    if not found:
        raise Refusal(404, f"no node whose id begins with {prefix} has proven work in round {number}")
    if len(found) > 1:
        named = ", ".join(node.hex()[: len(prefix) + 8] for node in found[:4])
        raise Refusal(409, f"{len(found)} nodes begin with {prefix}: write more of the id ({named})", "ambiguous")
    return found[0]


def _of_blocks(store: Store, number: int, prefix: str) -> Json:
    ended = store.height_of_round(number)
    assert ended is not None, f"round {number} has neither records nor an end"
    reveals = {reveal.node: reveal for reveal in reveals_of(store, number)}
    past = past_proof(store, reveals[the_one(list(reveals), prefix, number)], ended)
    is_held = store.state().find(Claim, claim_key(number, past.reveal.node)) is not None
    return _of_past(past, explain_past(past, is_held), VESTING if is_held else RELEASED)


def _of_state(facts: ProofFacts, told: Explanation) -> Json:
    reward = facts.reward
    return {
        "round": facts.round,
        "node": facts.node.hex(),
        "wallet": None if facts.wallet is None else to_text(facts.wallet),
        "source": "state",
        "segments": facts.segments,
        "segments_of_round": facts.of_round,
        "steps": facts.steps,
        "tokens": facts.tokens,
        "payload_root": None if facts.payload_root is None else facts.payload_root.hex(),
        "counted": facts.counts,
        "rate_basis_points": facts.rate_basis_points,
        "audited_rounds": facts.audited_rounds,
        "suspended_round": facts.suspended_round,
        "audit": None if facts.audit is None else _audit_fields(facts.audit),
        "reward": {
            "state": reward.state,
            "amount_nanos": None if reward.amount is None else str(reward.amount),
            "release_round": reward.release_round,
        },
        **_words(told),
    }


def _of_past(past: PastProof, told: Explanation, reward: str) -> Json:
    return {
        "round": past.reveal.round,
        "node": past.reveal.node.hex(),
        "wallet": None,
        "source": "blocks",
        "segments": past.segments,
        "segments_of_round": past.of_round,
        "steps": past.reveal.steps,
        "tokens": past.tokens,
        "payload_root": past.reveal.payload_root.hex(),
        "counted": None,
        "rate_basis_points": None,
        "audited_rounds": None,
        "suspended_round": None,
        "audit": None,
        "reward": {"state": reward, "amount_nanos": None, "release_round": None},
        **_words(told),
    }


def _words(told: Explanation) -> Json:
    return {"headline": told.headline, "statements": [{"kind": s.kind, "text": s.text} for s in told.statements]}


def _audit_fields(audit: AuditFacts) -> Json:
    return {
        "phase": AUDIT_PHASES[audit.phase],
        "segment": audit.segment,
        "attempt": audit.attempt,
        "drawn_height": audit.drawn_height,
        "deadline_height": audit.deadline_height,
        "set_epoch": audit.set_epoch,
        "planted": audit.planted,
        "auditors": [_auditor_fields(each) for each in audit.auditors],
        "votes": [{"answer": ANSWERS[answer], "share_basis_points": share} for answer, share in audit.votes],
    }


def _auditor_fields(auditor: Auditor) -> Json:
    return {
        "validator": auditor.place,
        "validator_key": auditor.key.hex(),
        "wallet": None if auditor.wallet is None else to_text(auditor.wallet),
        "attempt": auditor.attempt,
        "committed": auditor.committed,
        "finding": FINDINGS[auditor.finding],
        "misled": auditor.misled,
    }


def audit_page(store: Store, limit: int, cursor: int | None, round_number: int | None) -> Json:
    """The open audits in the order of their draw, or all of one round by node id. The cursor is a place in them."""
    state = store.state()
    names = _names_of(state, round_number) if round_number is not None else _open(state)
    first = cursor or 0
    shown = [_line(state, number, node) for number, node in names[first : first + limit]]
    return {"audits": shown, "next_cursor": str(first + limit) if len(names) > first + limit else None}


def _open(state: State) -> list[tuple[int, bytes]]:
    return [(name.round, name.node) for name in state.open_audits]


def _names_of(state: State, number: int) -> list[tuple[int, bytes]]:
    if number > state.ledger.round:
        raise Refusal(404, f"round {number} has not opened; the newest is {state.ledger.round}")
    current = state.round(number)
    if current is None:
        words = "its audits have left the state; ask for a single proof to see what the blocks still say"
        raise Refusal(404, f"the rewards of round {number} have been released: {words}")
    return [(number, node) for node in claimants(state, current) if state.audit(number, node) is not None]


def _line(state: State, number: int, node: bytes) -> Json:
    audit = state.audit(number, node)
    assert audit is not None, "an audit that was named is there"
    return {
        "round": number,
        "node": node.hex(),
        "phase": AUDIT_PHASES[audit.phase],
        "segment": audit.segment,
        "attempt": audit.attempt,
        "auditors": len(audit.auditors),
        "drawn_height": audit.drawn_height,
        "deadline_height": audit.deadline_height if audit.is_open else None,
    }
