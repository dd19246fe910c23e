"""Rounds and proofs as JSON objects: of running rounds from the state, of old ones from the blocks that they took.

A round's records leave the state when its rewards are released. Its reveals then stand in the last blocks before its
end, and the vote that closed it in the block of its end. What an ended round was never changes, so it is remembered.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from threading import Lock

from chain.block import Outcome, PayloadReveal, Proof, ResultVote
from chain.crypto.hashing import merkle_root
from chain.rounds import agreed_outcome, counted
from chain.state import CLOSED, RESULT, ROUND_PHASES, TRAINING, VOID, Round, State
from network.traffic import Traffic
from node.api.block_answers import Json, proof_fields
from node.api.faults import Refusal
from node.api.round_nodes import holdings_of, node_fields, nodes_of, results_of, voted_share
from node.round_history import Measured, finite
from node.round_now import power_of_round
from node.round_weights import Weights
from node.store import Store

REMEMBERED = 2_048
# A page of proofs looks at no more blocks than this; it may then hold fewer proofs than were asked for.
BLOCKS_SEARCHED = 200
VOIDS_PASSED = 200  # rounds looked at backwards for the last that closed


@dataclass(frozen=True, slots=True)
class Local:
    """What this node knows of rounds by itself, as it is at one moment, by round."""

    measured: Mapping[int, Measured]
    weights: Mapping[int, Weights]
    pace_ms: int  # from block to block
    traffic: Mapping[int, Traffic] = field(default_factory=dict)


class RoundAnswers:
    """Answers about rounds. Shared by the reading threads."""

    def __init__(self) -> None:
        self._ended: OrderedDict[int, Json] = OrderedDict()
        self._lock = Lock()

    def page(self, store: Store, local: Local, limit: int, cursor: int | None) -> Json:
        """Rounds below the cursor, newest first."""
        newest = store.state().ledger.round
        newest = newest if cursor is None else min(cursor - 1, newest)
        numbers = range(newest, max(newest - limit, 0), -1)
        rounds: list[Json] = []
        for number in numbers:
            if not is_told(store, number):
                return {"rounds": rounds, "next_cursor": None}
            rounds.append(with_own(self._facts(store, number), local))
        return {"rounds": rounds, "next_cursor": str(numbers[-1]) if numbers and numbers[-1] > 1 else None}

    def whole(self, store: Store, local: Local, number: int) -> Json:
        if number > store.state().ledger.round:
            raise Refusal(404, f"round {number} has not opened; the newest is {store.state().ledger.round}")
        if not is_told(store, number):
            raise Refusal(404, f"this node keeps no blocks up to {store.pruned_height}, in which round {number} ended")
        return with_own(self._facts(store, number), local)

    def _facts(self, store: Store, number: int) -> Json:
        with self._lock:
            if (known := self._ended.get(number)) is not None:
                return known
        state = store.state()
        current = state.round(number)
        facts = of_state(store, state, current) if current is not None else of_blocks(store, number)
        # While its records are there a round may still be told in more detail than later.
        if current is None:
            with self._lock:
                self._ended[number] = facts
                while len(self._ended) > REMEMBERED:
                    self._ended.popitem(last=False)
        return facts


def is_told(store: Store, number: int) -> bool:
    """Whether the node still has what tells of a round: its records, or the block of its end."""
    if store.state().round(number) is not None:
        return True
    return (store.height_of_round(number) or 0) > store.pruned_height


def with_own(facts: Json, local: Local) -> Json:
    """The same with what this node knows by itself: losses, weights, and how long blocks take."""
    after = local.measured.get(facts["round"])
    before = None if facts["base_round"] is None else local.measured.get(facts["base_round"])
    loss = None if after is None else finite(after.validation_loss)
    earlier = None if before is None else finite(before.validation_loss)
    weights, traffic = local.weights.get(facts["round"]), local.traffic.get(facts["round"])
    blocks = facts["blocks_left"]
    return {
        **facts,
        "payloads": [payload | weight_fields(bytes.fromhex(payload["node"]), weights) for payload in facts["payloads"]],
        "seconds_left": None if blocks is None else -(-blocks * local.pace_ms // 1000),
        "validation_loss": loss,
        "loss_before": earlier,
        "loss_change": None if loss is None or earlier is None else loss - earlier,
        "tokens": None if after is None else after.tokens,
        "bytes_sent": None if traffic is None else traffic.sent,
        "bytes_received": None if traffic is None else traffic.received,
    }


def weight_fields(node: bytes, weights: Weights | None) -> Json:
    """What a payload weighed in the outer step, and its node's score after it; None where that is not known here."""
    record = None if weights is None else weights.get(node)
    return {
        "weight_ppm": None if record is None else record.weight_ppm,
        "score": None if record is None else record.score,
    }


def of_state(store: Store, state: State, current: Round) -> Json:
    """A round whose records are there."""
    after_holding = current.phase in (RESULT, CLOSED)
    included = {payload.node for payload in counted(state, current)} if after_holding else set()
    held, total = holdings_of(state, current), power_of_round(state, current)
    is_over = current.phase in (CLOSED, VOID)
    outcome = agreed_outcome(state, current) if current.phase == CLOSED else None
    payloads = [
        payload_fields(payload.node, payload.payload_root, payload.payload_bytes, payload.steps)
        | {"counted": payload.node in included if after_holding else None}
        | {"held_basis_points": held.get(payload.node)}
        for payload in current.revealed
    ]
    return {
        "round": current.number,
        "phase": ROUND_PHASES[current.phase],
        "opened_height": current.opened_height,
        "ended_height": store.height_of_round(current.number),
        "deadline_height": current.deadline_height,
        "blocks_left": None if is_over else max(0, current.deadline_height - store.height),
        "participants": current.participants,
        "awaited": max(0, current.awaited.nodes - current.awaited.arrived) if current.phase <= TRAINING else 0,
        "committed": len(current.committed),
        "segments": store.network.params.segments,
        "nodes": nodes_of(state, current, store.network.params),
        "base_round": _base_round(store, current.number),
        "base_outer_root": current.base.outer_root.hex(),
        "payloads": payloads,
        "total_power_nanos": str(total) if total else None,
        "voted_basis_points": voted_share(state, current),
        "results": results_of(state, current),
        "outcome": outcome_fields(outcome),
    }


def of_blocks(store: Store, number: int) -> Json:
    """A round whose records have left the state."""
    ended = store.height_of_round(number)
    assert ended is not None, f"round {number} has neither records nor an end"
    before = store.height_of_round(number - 1) or 0
    outcome = _outcome_at(store, number, ended)
    reveals = _reveals(store, number, ended, before)
    # Nothing tells which payloads of several were held by enough validators, unless all were.
    root = merkle_root([reveal.node + reveal.payload_root for reveal in reveals])
    all_counted = None if outcome is None or outcome.counted_root != root else True
    base = _base_round(store, number)
    per_segment = store.network.params.segment_steps
    return {
        "round": number,
        "phase": ROUND_PHASES[VOID if outcome is None else CLOSED],
        "opened_height": before or None,
        "ended_height": ended,
        "deadline_height": None,
        "blocks_left": None,
        "participants": None,
        "awaited": 0,
        "committed": None,
        "segments": store.network.params.segments,
        # Whoever revealed had committed, to the segments that are in the reveal.
        "nodes": [node_fields(reveal.node, reveal.steps // per_segment, True, True) for reveal in reveals],
        "base_round": base,
        "base_outer_root": None if base is None else _root_after(store, base).hex(),
        "payloads": [
            payload_fields(reveal.node, reveal.payload_root, reveal.payload_bytes, reveal.steps)
            | {"counted": all_counted, "held_basis_points": None}
            for reveal in reveals
        ],
        "total_power_nanos": None,
        "voted_basis_points": None,
        "results": [],
        "outcome": outcome_fields(outcome),
    }


def payload_fields(node: bytes, root: bytes, size: int, steps: int) -> Json:
    return {"node": node.hex(), "payload_root": root.hex(), "payload_bytes": size, "steps": steps}


def outcome_fields(outcome: Outcome | None) -> Json | None:
    if outcome is None:
        return None
    found = {each.name: getattr(outcome, each.name).hex() for each in fields(outcome)}
    return found | {"outer_root": outcome.outer_root.hex()}


def _outcome_at(store: Store, number: int, ended: int) -> Outcome | None:
    """A closed round's outcome: that of the vote that closed it, its last one. A void round's last block has none."""
    stored = store.block(ended)
    assert stored is not None
    votes = [item for item in stored.block.body.rounds if isinstance(item, ResultVote) and item.round == number]
    return votes[-1].outcome if votes else None


def reveals_of(store: Store, number: int) -> list[PayloadReveal]:
    """The reveals of a round that has ended, by node id, as its blocks hold them."""
    ended = store.height_of_round(number)
    return [] if ended is None else _reveals(store, number, ended, store.height_of_round(number - 1) or 0)


def _reveals(store: Store, number: int, ended: int, before: int) -> list[PayloadReveal]:
    """They come in the last phases only, whose lengths are bounded."""
    params = store.network.params
    first = max(before + 1, ended - params.reveal_blocks - params.hold_blocks - params.result_blocks)
    found = []
    for height in range(ended, first - 1, -1):
        stored = store.block(height)
        if stored is None:
            break  # It has been pruned.
        body = stored.block.body
        found += [item for item in body.rounds if isinstance(item, PayloadReveal) and item.round == number]
        if any(proof.round == number for proof in body.proofs):
            break  # Nobody reveals before the training phase is over.
    return sorted(found, key=lambda reveal: reveal.node)


def _base_round(store: Store, number: int) -> int | None:
    """The last round before that closed, 0 for the genesis; None if it lies too far back."""
    state = store.state()
    for earlier in range(number - 1, max(number - 1 - VOIDS_PASSED, 0), -1):
        if (current := state.round(earlier)) is not None:
            if current.phase == CLOSED:
                return earlier
            continue
        ended = store.height_of_round(earlier)
        if ended is None or ended <= store.pruned_height:
            return None
        if _outcome_at(store, earlier, ended) is not None:
            return earlier
    return 0 if number <= VOIDS_PASSED else None


def _root_after(store: Store, number: int) -> bytes:
    """The outer root after a round that closed, or of the genesis."""
    if not number:
        return store.network.start.outer_root
    current = store.state().round(number)
    ended = store.height_of_round(number)
    assert ended is not None
    outcome = _outcome_at(store, number, ended) if current is None else agreed_outcome(store.state(), current)
    assert outcome is not None, f"round {number} did not close"
    return outcome.outer_root


def proof_page(
    store: Store, limit: int, cursor: tuple[int, int] | None, round_number: int | None, node: bytes | None
) -> Json:
    """Proofs before the cursor's place, newest first. A page that ended its search early may be empty."""
    highest, lowest = _range(store, round_number)
    lowest = max(lowest, store.pruned_height + 1)
    if cursor is not None:
        highest = min(highest, cursor[0])
    found: list[Json] = []
    for height in range(highest, max(highest - BLOCKS_SEARCHED, lowest - 1), -1):
        end = cursor[1] if cursor is not None and height == cursor[0] else None
        for index, proof in _descending(store, height, end):
            if round_number not in (None, proof.round) or node not in (None, proof.node):
                continue
            if len(found) == limit:
                last = found[-1]
                return {"proofs": found, "next_cursor": f"{last['height']}.{last['index']}"}
            found.append(proof_fields(proof, store.network.chain_id, height, index))
    beyond = highest - BLOCKS_SEARCHED
    return {"proofs": found, "next_cursor": f"{beyond + 1}.0" if beyond >= lowest else None}


def _descending(store: Store, height: int, end: int | None) -> Iterator[tuple[int, Proof]]:
    """The proofs of a block with their places, from the last one before `end` down."""
    stored = store.block(height)
    proofs = stored.block.body.proofs if stored is not None else ()
    return reversed(list(enumerate(proofs[:end])))


def _range(store: Store, round_number: int | None) -> tuple[int, int]:
    """The highest and the lowest block in which proofs of a round can stand."""
    if round_number is None:
        return store.height, 1
    if round_number > store.state().ledger.round:
        return 0, 1
    ended = store.height_of_round(round_number)
    before = store.height_of_round(round_number - 1)
    return (store.height if ended is None else ended), (before or 0) + 1
