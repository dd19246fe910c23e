"""A trainer and a provider of data who are one person under two wallets: receipts for shards that nobody served.

The trainer signs for every shard as soon as the ledger takes it. It may also have many names, and let only those train
whose draw suits it: then its gain is what registering the others costs less than.
"""

from collections.abc import Sequence
from dataclasses import replace

from chain.audit_messages import DataReceipt
from chain.data_receipts import apply_data_receipt, provider_of
from chain.errors import InvalidRoundInput
from chain.genesis import Network
from chain.state import State
from tests.builders import NO_SIGNATURE, Key


def sign_for_all(state: State, trainer: Key, partners: Sequence[bytes], network: Network) -> int:
    """False receipts for every shard, for whichever of its partners the ledger takes; how many it takes."""
    taken, number = 0, state.ledger.round
    for partner in partners:
        for shard in range(network.params.corpus_shards):
            draft = DataReceipt(number, trainer.node, partner, shard, NO_SIGNATURE)
            receipt = replace(draft, signature=trainer.sign(draft.digest(network.chain_id)))
            try:
                apply_data_receipt(state, receipt, network.chain_id, network.params)
                taken += 1
            except InvalidRoundInput:
                break  # and so would be its other shards
    return taken


def is_lucky(state: State, trainer: Key, partners: Sequence[bytes]) -> bool:
    """Whether one of its partners was drawn for it: all that it has to wait for."""
    return provider_of(state, state.ledger.round, trainer.node) in partners
