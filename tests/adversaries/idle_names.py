"""A thousand names on one disk: they are registered, hold one copy of the model between them, and never train.

Each proves whatever seat it has drawn, honestly and in time: nothing about them is false but their number.
"""

from collections.abc import Sequence

from chain.errors import InvalidRoundInput
from chain.genesis import Network
from chain.state import State
from chain.storage import apply_storage_proof, storage_seat
from tests.builders import Key
from tests.chain.stored_model import a_storage_proof


def prove_all(state: State, names: Sequence[Key], network: Network) -> int:
    """All names that have a seat try to use it; how many of their proofs the ledger takes."""
    taken, params = 0, network.params
    for name in names:
        if storage_seat(state, name.node, params) is None:
            continue
        try:
            apply_storage_proof(state, a_storage_proof(state, network.chain_id, name, params), network.chain_id, params)
        except InvalidRoundInput as error:
            if "are taken" not in str(error):
                raise
        else:
            taken += 1
    return taken
