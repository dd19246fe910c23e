"""The same transfers through py-evm, an Ethereum client in Python: signatures, nonces, fees, receipts and state root.

Its signatures are checked by coincurve too. What it does beside: a virtual machine's rules for each transfer.
"""

import time
from collections.abc import Sequence
from typing import Any

from bench.ledger_chain import Payment, secret_of

EACH = 10**24  # wei of an account at the start
TRANSFER_GAS = 21_000
GAS_PRICE = 10**10  # far above the base fee of the few blocks here
MISSING = "py-evm is not installed: `make bench` installs it, or pip install -r requirements/bench.txt"


def is_installed() -> bool:
    try:
        import eth.chains.base  # noqa: F401
    except ImportError:
        return False
    return True


def transfers_per_s(blocks: Sequence[Sequence[Payment]], accounts: int) -> tuple[float, str]:
    """Transfers per second of processor time, importing blocks from their bytes; and who checks the signatures."""
    from eth_keys import keys

    wallets = [keys.PrivateKey(secret_of(i)) for i in range(accounts)]
    addresses = [wallet.public_key.to_canonical_address() for wallet in wallets]
    encoded = _blocks(blocks, wallets, addresses)
    chain = _chain(addresses, len(blocks[0]))
    begun = time.process_time()
    for data in encoded:
        chain.import_block(_decoded(chain, data))
    spent = time.process_time() - begun
    for sender in {payment.sender for block in blocks for payment in block}:
        if not chain.get_vm().state.get_nonce(addresses[sender]):
            raise SystemExit("py-evm did not apply the transfers")
    return sum(map(len, blocks)) / spent, type(keys.backend).__name__


def _chain(addresses: Sequence[bytes], transfers: int) -> Any:
    from eth.chains.base import MiningChain
    from eth.constants import ZERO_ADDRESS
    from eth.db.atomic import AtomicDB
    from eth.vm.forks import ParisVM

    limit = 2 * TRANSFER_GAS * max(transfers, 500)  # half of it is the target: the base fee stays where it is
    kind = MiningChain.configure("Bench", vm_configuration=((0, ParisVM),), chain_id=1)
    genesis = {"coinbase": ZERO_ADDRESS, "difficulty": 0, "gas_limit": limit, "timestamp": 1, "extra_data": b""}
    state = {address: {"balance": EACH, "nonce": 0, "code": b"", "storage": {}} for address in addresses}
    return kind.from_genesis(AtomicDB(), genesis, state)


def _blocks(blocks: Sequence[Sequence[Payment]], wallets: Any, addresses: Sequence[bytes]) -> list[bytes]:
    """RLP of the blocks, made on a chain of their own."""
    import rlp

    chain = _chain(addresses, len(blocks[0]))
    encoded = []
    for block in blocks:
        transactions = []
        for payment in block:
            unsigned = chain.create_unsigned_transaction(
                nonce=payment.nonce,
                gas_price=GAS_PRICE,
                gas=TRANSFER_GAS,
                to=addresses[payment.payee],
                value=payment.amount,
                data=b"",
            )
            transactions.append(unsigned.as_signed_transaction(wallets[payment.sender], chain_id=1))
        result, _, _ = chain.mine_all(transactions)
        encoded.append(rlp.encode(result.imported_block))
    return encoded


def _decoded(chain: Any, data: bytes) -> Any:
    import rlp

    return rlp.decode(data, sedes=chain.get_vm().get_block_class())
