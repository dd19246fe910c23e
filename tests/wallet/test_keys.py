"""The wallet as a whole: it is silent about its secrets and knows itself again."""

import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from chain import address
from wallet import keystore
from wallet.errors import KeystoreCorrupt, KeystoreMismatch, MnemonicError, WalletError, WrongPassword
from wallet.keys import Wallet

WALLET = Wallet(bytes(range(16)))
PASSWORD = "correct horse"
CHEAP = 2


def test_printing_a_wallet_shows_no_secret() -> None:
    secrets = [WALLET.entropy, WALLET.seed, WALLET.wallet_key(), WALLET.node_key(), WALLET.validator_key()]
    for text in (repr(WALLET), str(WALLET), f"{WALLET}", repr([WALLET])):
        assert address.to_text(WALLET.address()) in text
        for secret in secrets:
            assert secret.hex() not in text and repr(secret)[2:-1] not in text
        assert not set(WALLET.words().split()) & set(text.split())


def test_errors_show_no_secret() -> None:
    kept = WALLET.to_keystore(PASSWORD, scrypt_n=CHEAP)
    for call in (
        lambda: Wallet.from_keystore(replace(kept, address="neuro1other"), PASSWORD),
        lambda: Wallet.from_keystore(kept, "sesame"),
    ):
        with pytest.raises(WalletError) as refused:
            call()
        text = "".join(traceback.format_exception(refused.value))
        assert WALLET.entropy.hex() not in text and "sesame" not in str(refused.value)


def test_words_and_keystore_bring_the_same_wallet_back() -> None:
    assert Wallet.from_words(WALLET.words()) == WALLET
    for test in (False, True):
        kept = WALLET.to_keystore(PASSWORD, test=test, description="savings", scrypt_n=CHEAP)
        assert kept.address == address.to_text(WALLET.address(), test)
        assert kept.description == "savings"
        assert Wallet.from_keystore(kept, PASSWORD) == WALLET


def test_a_wallet_goes_to_disk_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal = keystore.seal
    costs = []

    def cheap(secret: bytes, password: str, text: str, description: str, scrypt_n: int) -> keystore.Keystore:
        costs.append(scrypt_n)
        return seal(secret, password, text, description, CHEAP)

    monkeypatch.setattr(keystore, "seal", cheap)
    WALLET.save(tmp_path / "wallet.json", PASSWORD, test=True, description="savings")
    assert costs == [2**17]
    assert Wallet.load(tmp_path / "wallet.json", PASSWORD) == WALLET
    with pytest.raises(WrongPassword):
        Wallet.load(tmp_path / "wallet.json", "other")


def test_a_secret_of_another_address_is_refused() -> None:
    kept = WALLET.to_keystore(PASSWORD, scrypt_n=CHEAP)
    other = address.to_text(Wallet(bytes(16)).address())
    for named in (other, "", "tneuro1", "neuro1", address.to_text(WALLET.address(), test=True)[1:]):
        with pytest.raises(KeystoreMismatch, match=address.to_text(WALLET.address())[-20:-6]):
            Wallet.from_keystore(replace(kept, address=named), PASSWORD)


@pytest.mark.parametrize("size", [15, 17, 32])
def test_a_keystore_of_something_else_is_no_wallet(size: int) -> None:
    kept = keystore.seal(bytes(size), PASSWORD, "", "", CHEAP)
    with pytest.raises(KeystoreCorrupt, match="16 bytes"):
        Wallet.from_keystore(kept, PASSWORD)
    with pytest.raises(MnemonicError):
        Wallet(bytes(size))


def test_new_wallets_differ_and_so_do_their_keys() -> None:
    first, second = Wallet.create(), Wallet.create()
    assert first != second
    keys = {key(index) for key in (first.wallet_key, first.node_key, first.validator_key) for index in range(3)}
    assert len(keys) == 9 and {len(key) for key in keys} == {32}


def test_the_wallet_needs_nothing_of_the_node() -> None:
    program = """
import sys
strangers = ("torch", "numpy", "aiohttp", "plyvel", "lmdb", "pydantic", "node", "network", "training", "consensus")
for name in strangers:
    sys.modules[name] = None
from wallet.keys import Wallet
print(Wallet(bytes(range(16))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == repr(WALLET), done.stderr
