"""Single keys for other machines: EIP-2335 keystores with public key and path."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.address import to_text
from chain.crypto import bls, ecdsa
from tests.wallet.cases import PASSWORD, WALLET, json_values, unhurried
from wallet import bip32, eip2333, keystore, keystore_file
from wallet.errors import DerivationError, KeystoreError, KeystoreMismatch, WrongPassword
from wallet.export import KeyKind, export, key_of, open_export, path_of

CHEAP = 2
VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "eip2335.json").read_text())
VECTOR = VECTORS["keystores"][0]
VALIDATOR = export(WALLET, KeyKind.VALIDATOR, 3, PASSWORD, CHEAP)


@pytest.mark.parametrize("kind", KeyKind)
@pytest.mark.parametrize("index", [0, 5])
def test_a_key_goes_out_and_comes_back(tmp_path: Path, kind: KeyKind, index: int) -> None:
    keystore_file.save(tmp_path / "key.json", export(WALLET, kind, index, PASSWORD, CHEAP))
    key = open_export(keystore_file.load(tmp_path / "key.json"), kind, PASSWORD)
    assert key == key_of(WALLET, kind, index)
    wanted = {"wallet": WALLET.wallet_key, "node": WALLET.node_key, "validator": WALLET.validator_key}[kind.value](
        index
    )
    assert key.secret == wanted
    library = bls if kind is KeyKind.VALIDATOR else ecdsa
    assert key.public_key == library.public_key(wanted)


def test_the_path_in_a_file_leads_from_the_seed_to_its_secret() -> None:
    for index in (0, 7):
        steps = path_of(KeyKind.VALIDATOR, index).split("/")[1:]
        secret = eip2333.derive(WALLET.seed, tuple(int(step) for step in steps)).to_bytes(32, "big")
        assert secret == WALLET.validator_key(index)
        assert bip32.derive(WALLET.seed, path_of(KeyKind.WALLET, index)).secret == WALLET.wallet_key(index)
        assert bip32.derive(WALLET.seed, path_of(KeyKind.NODE, index)).secret == WALLET.node_key(index)
    assert path_of(KeyKind.VALIDATOR, 2) == "m/12381/20037/2/0"


def test_a_validators_file_has_exactly_the_fields_of_the_eip() -> None:
    file = json.loads(keystore.to_json(VALIDATOR))
    assert set(file) == set(VECTOR) and set(file["crypto"]) == set(VECTOR["crypto"])
    assert file["pubkey"] == bls.public_key(WALLET.validator_key(3)).hex() and file["path"] == "m/12381/20037/3/0"
    assert keystore.parse(json.dumps(VECTOR).encode()).public_key == VECTOR["pubkey"]


def test_a_wallet_keys_file_names_its_address() -> None:
    file = json.loads(keystore.to_json(export(WALLET, KeyKind.WALLET, 1, PASSWORD, CHEAP)))
    assert file["address"] == to_text(WALLET.address(1)) and len(bytes.fromhex(file["pubkey"])) == 33


def test_the_published_keystore_opens_as_a_validator_key() -> None:
    [content] = [each for each in VECTORS["keystores"] if each["crypto"]["kdf"]["function"] == "pbkdf2"]
    key = open_export(keystore.parse(json.dumps(content).encode()), KeyKind.VALIDATOR, VECTORS["password"])
    assert key.secret.hex() == VECTORS["secret"] and key.public_key.hex() == content["pubkey"]


def test_a_secret_of_another_key_than_the_file_names_is_refused() -> None:
    for named in ("", bls.public_key(WALLET.validator_key(4)).hex()):
        with pytest.raises(KeystoreMismatch, match="belongs to"):
            open_export(replace(VALIDATOR, public_key=named), KeyKind.VALIDATOR, PASSWORD)
    for kind in (KeyKind.WALLET, KeyKind.NODE):
        with pytest.raises(KeystoreMismatch):
            open_export(VALIDATOR, kind, PASSWORD)
    wallet = WALLET.to_keystore(PASSWORD, scrypt_n=CHEAP)
    with pytest.raises(KeystoreMismatch, match="no validator key"):
        open_export(wallet, KeyKind.VALIDATOR, PASSWORD)
    with pytest.raises(WrongPassword):
        open_export(VALIDATOR, KeyKind.VALIDATOR, "other")


def test_keys_are_silent_about_their_secrets() -> None:
    for kind in KeyKind:
        key = key_of(WALLET, kind, 0)
        for text in (repr(key), str(key), f"{key}", repr([key]), repr(export(WALLET, kind, 0, PASSWORD, CHEAP))):
            assert key.secret.hex() not in text and repr(key.secret)[2:-1] not in text
            assert key.public_key.hex() in text


def test_new_exports_cost_as_much_as_a_wallet_to_guess() -> None:
    assert export.__defaults__ == (2**17,)


@pytest.mark.parametrize("index", [-1, 2**31])
def test_a_number_without_a_key_is_a_named_error(index: int) -> None:
    for kind in KeyKind:
        with pytest.raises(DerivationError):
            export(WALLET, kind, index, PASSWORD, CHEAP)


@unhurried
@given(st.sampled_from(["pubkey", "path", "address", "crypto", "version"]), json_values)
def test_strange_values_raise_the_family_or_nothing(name: str, value: Any) -> None:
    content = json.loads(keystore.to_json(VALIDATOR)) | {name: value}
    try:
        parsed = keystore.parse(json.dumps(content).encode())
        open_export(parsed, KeyKind.VALIDATOR, PASSWORD)
    except KeystoreError:
        return
    assert keystore.parse(keystore.to_json(parsed)) == parsed
