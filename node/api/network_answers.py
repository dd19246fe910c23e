"""The network in numbers: its parameters, what inclusion costs now, and who keeps which part of the model."""

from chain.address import to_text
from chain.fees import ACTION_GAS, PAYMENT_GAS, next_base_fee
from chain.genesis import Network, Params
from chain.services import VALUE_BYTES, Holder
from chain.state import State
from chain.storage import holders_of, storage, storage_seat
from node.api.action_answers import ACTION_NAMES
from node.api.block_answers import Json
from node.mempool import Mempool
from node.store import Store
from training.layout import Fragment, ModelConfig, parameter_layout

HOLDERS_SEARCHED = 4_096  # of an epoch's: the list is as long as the network is large
HOLDERS_TOLD = 16  # of each part of the model
FULL_BLOCKS = 8  # that may follow one another before a suggested max_fee is too low
# More than any waiting transaction takes beside its bytes, and more than any byte of a multi-transfer stands for.
GAS_ABOVE, GAS_OF_BYTE_ABOVE = max(ACTION_GAS.values()), 1 + PAYMENT_GAS // 16


def parameters_of(network: Network) -> Json:
    """Everything that the genesis fixes, apart from the proofs of possession."""
    return {
        "chain_id": network.chain_id.hex(),
        "name": network.name.decode(),
        "created_ms": network.created_ms,
        "params_hash": network.params_hash.hex(),
        "model_seed": network.model_seed.hex(),
        "model_root": network.start.model_root.hex(),
        "tokenizer_hash": network.tokenizer_hash.hex(),
        "corpus_root": network.corpus_root.hex(),
        "founders": [
            {"validator_key": founder.public_key.hex(), "payout": to_text(founder.payout)}
            for founder in network.validators
        ],
        "parameters": [{"name": each.name.decode(), "value": str(each.value)} for each in network.parameters],
    }


def fees_of(height: int, base_fee: int, mempool: Mempool, params: Params) -> Json:
    """What the next block asks, and an offer that stays good through some full blocks."""
    room = params.block_gas_maximum - params.lane_gas_maximum
    tip, later = tip_to_get_in(mempool, base_fee, room), base_fee
    for _ in range(FULL_BLOCKS):
        later = next_base_fee(later, params.block_gas_maximum, params)
    return {
        "height": height,
        "base_fee_nanos": str(base_fee),
        "next_base_fee_maximum_nanos": str(next_base_fee(base_fee, params.block_gas_maximum, params)),
        "suggested_max_fee_nanos": str(min(later + tip, 2**64 - 1)),
        "suggested_tip_nanos": str(tip),
        "waiting_transactions": len(mempool),
        "gas": [{"type": ACTION_NAMES[kind], "gas": gas} for kind, gas in ACTION_GAS.items()],
        "gas_of_payment": PAYMENT_GAS,
        "gas_of_byte": 1,
    }


def tip_to_get_in(mempool: Mempool, base_fee: int, room: int) -> int:
    """One more than the best that the next block has no room for; 0 as long as it has room for all that waits."""
    if len(mempool) * GAS_ABOVE + mempool.size * GAS_OF_BYTE_ABOVE <= room:
        return 0  # without looking at each
    order = mempool.order(base_fee)
    while (waiting := order.next()) is not None:
        room -= waiting.gas
        if room < 0:
            return max(0, waiting.effective_tip(base_fee)) + 1
        order.advance()
    return 0


def layers_of(store: Store, model: ModelConfig) -> Json:
    """The parts of the model in their order, and for each some nodes that have shown a piece of it in this epoch."""
    state, params = store.state(), store.network.params
    opened = storage(state)
    holders = holders_by_part(state, store)
    return {
        "height": store.height,
        "epoch": opened.epoch,
        "model_root": opened.model_root.hex(),
        "registered_nodes": state.ledger.nodes,
        "layers": [
            part_fields(fragment)
            | {
                "seats": params.holders,
                "proven": opened.taken[place],
                "nodes": [
                    {"node": node.hex(), "wallet": to_text(holder.wallet)} for node, holder in holders.get(place, [])
                ],
            }
            for place, fragment in enumerate(parameter_layout(model))
        ],
    }


def part_fields(fragment: Fragment) -> Json:
    return {
        "name": fragment.name,
        "first_parameter": fragment.start,
        "parameters": fragment.count,
        "bytes": VALUE_BYTES * fragment.count,
    }


def holders_by_part(state: State, store: Store) -> dict[int, list[tuple[bytes, Holder]]]:
    """Who proved what in this epoch, the last ones first; a node that has retired since has no seat any more."""
    found: dict[int, list[tuple[bytes, Holder]]] = {}
    for count, (node, holder) in enumerate(holders_of(state)):
        if count == HOLDERS_SEARCHED:
            break
        seat = storage_seat(state, node, store.network.params)
        if seat is not None and len(found.setdefault(seat.fragment, [])) < HOLDERS_TOLD:
            found[seat.fragment].append((node, holder))
    return found
