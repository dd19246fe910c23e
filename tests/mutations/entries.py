"""Bugs to put into the code one at a time, and where the tests are that must see them: of the ledger here.

Each is what somebody could really write. An edit's old text stands exactly once in its file.
"""

from tests.mutations.consensus import CONSENSUS
from tests.mutations.edits import Edit, Mutation
from tests.mutations.rounds import ROUNDS


def mutation(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    """A bug of one edit. Tests are files of tests/chain/ without the ending, or one of its tests after a `::`."""
    paths = [f"tests/chain/{file}.py{colons}{test}" for file, colons, test in (each.partition("::") for each in tests)]
    return Mutation(name, (Edit(file, old, new),), tuple(paths))


LEDGER = (
    mutation(
        "a signature with a high s is accepted",
        "chain/crypto/ecdsa.py",
        "0 < s <= HALF_ORDER",
        "0 < s < CURVE_ORDER",
        "test_ecdsa",
    ),
    mutation(
        "a signature in DER is accepted",
        "chain/crypto/ecdsa.py",
        "    if len(digest) != DIGEST_BYTES or",
        "    if signature[:1] == b'\\x30' and len(signature) in (70, 71, 72):\n"
        "        at = 4 + signature[3]\n"
        "        parts = signature[4:at], signature[at + 2 :]\n"
        "        signature = b''.join(part.lstrip(b'\\0').rjust(32, b'\\0') for part in parts)\n"
        "    if len(digest) != DIGEST_BYTES or",
        "test_ecdsa",
    ),
    mutation(
        "a transaction's id covers its signature",
        "chain/transfers.py",
        "identity = transaction.id(chain_id)",
        'identity = tagged_hash("transaction", chain_id, transaction.encode())',
        "test_transactions",
    ),
    mutation(
        "a reward is divided in floating point",
        "chain/rewards.py",
        "parts = [budget * share // total for share in shares]",
        "parts = [int(budget * (share / total)) for share in shares]",
        "test_fees_and_rewards",
    ),
    mutation(
        "a root goes through a set",
        "chain/transition.py",
        "receipts_root=merkle_root([encode_receipt(receipt) for receipt in executed.receipts])",
        "receipts_root=merkle_root([*{encode_receipt(receipt) for receipt in executed.receipts}])",
        "test_golden_long::test_another_hash_seed_locale_and_year_change_nothing",
    ),
    mutation(
        "the minted amount in a header is believed",
        "chain/transition.py",
        "        if found != expected:\n",
        '        if found != expected and field.name != "minted":\n',
        "test_blocks",
    ),
    mutation(
        "a proof's own number of batches is believed",
        "chain/proofs.py",
        '        "batches": params.segment_steps,\n',
        "",
        "test_proofs",
    ),
    mutation(
        "evidence counts again",
        "chain/slashing.py",
        "    if known is not None and known.tombstoned:\n",
        "    if known is not None and known.tombstoned and known.wallet == reporter:\n",
        "test_slashing",
    ),
    mutation(
        "a bond needs no word of its validator key",
        "chain/staking.py",
        "    if not bls.verify(action.public_key, bond_consent(network.chain_id, action.public_key, wallet), "
        "action.possession):\n",
        "    if not action.possession:\n",
        "test_bonds",
    ),
    mutation(
        "a founder needs no proof of possession",
        "chain/genesis.py",
        "        if not bls.verify_possession(validator.public_key, validator.possession):\n",
        "        if not validator.possession:\n",
        "test_genesis",
    ),
    Mutation(
        "the key at infinity is accepted",
        (
            Edit("chain/crypto/bls.py", "point[0] & 0xC0 == 0x80", "point[0] & 0x80 == 0x80"),
            Edit("chain/crypto/bls_fast.py", "return not _is_infinity(key) and _pairings", "return _pairings"),
        ),
        ("tests/chain/test_bls.py",),
    ),
    mutation(
        "the set changes in the middle of an epoch",
        "chain/transition.py",
        "    if height % params.epoch_blocks == 0:\n",
        "    if chosen.epoch and height % params.epoch_blocks == params.epoch_blocks // 2:\n"
        "        receipts += choose_validators(draft, chosen.epoch - 1, height, network)\n"
        "    if height % params.epoch_blocks == 0:\n",
        "test_validator_set",
        "test_golden_long::test_the_set_of_an_epoch_is_announced_by_the_last_block_before_it_and_stays",
    ),
    mutation(
        "unbonding stake cannot be slashed",
        "chain/slashing.py",
        "    guilty = [ready for ready in stake.exits if ready - params.unbonding_epochs > offence_epoch]\n",
        "    guilty: list[int] = []\n",
        "test_slashing",
    ),
    mutation(
        "the base fee rises from one unit of gas too early",
        "chain/fees.py",
        "    if gas_used > target:\n",
        "    if gas_used >= target:\n",
        "test_fees_and_rewards",
    ),
    mutation(
        "the base fee may stand still in a full block",
        "chain/fees.py",
        "base_fee + max(1, change)",
        "base_fee + change",
        "test_fees_and_rewards",
    ),
    mutation(
        "a transfer to oneself doubles the amount",
        "chain/money.py",
        "    _set(state, source, _required(state, source, amount) - amount)\n"
        "    # Read the target only now: it may be the source.\n"
        "    _set(state, target, holdings(state, target) + amount)\n",
        "    before = holdings(state, target)\n"
        "    _set(state, source, _required(state, source, amount) - amount)\n"
        "    _set(state, target, before + amount)\n",
        "test_transactions",
    ),
    Mutation(
        "phantom power comes back when stake is drained",
        (
            Edit(
                "chain/bootstrap.py",
                "    maximum = max(state.ledger.active_maximum, active_stake)\n",
                "    maximum = active_stake\n",
            ),
            Edit(
                "chain/bootstrap.py",
                "min(known.phantom, phantom_power(params, maximum))",
                "phantom_power(params, maximum)",
            ),
        ),
        ("tests/chain/test_bootstrap.py",),
    ),
    mutation(
        "a block is compared with the local clock",
        "chain/transition.py",
        "    if interval < least:\n",
        '    if interval < least or chosen.time_ms > __import__("time").time_ns() // 10**6:\n',
        "test_golden_long::test_another_hash_seed_locale_and_year_change_nothing",
    ),
    mutation(
        "a run of leaves is not compared with the state root",
        "chain/range_proof.py",
        "    return _root_of(run, proof) == root\n",
        "    return _root_of(run, proof) is not None\n",
        "test_range_proof",
    ),
    mutation(
        "evidence may stand after a withdrawal in its block",
        "chain/transition.py",
        "    if accusing != sorted(accusing, reverse=True):\n",
        "    if accusing != sorted(accusing, reverse=True) and not any(accusing):\n",
        "test_blocks",
        "test_slashing",
    ),
)

MUTATIONS = (*LEDGER, *ROUNDS, *CONSENSUS)
