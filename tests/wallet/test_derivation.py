"""Words to seed to keys: the published vectors, and the paths of this network."""

import hmac
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from mnemonic import Mnemonic

from chain import address
from chain.crypto import bls, ecdsa
from wallet import bip32, eip2333, mnemonic
from wallet.errors import DerivationError, MnemonicError
from wallet.keys import Wallet

VECTORS = Path(__file__).parents[1] / "vectors"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ABOUT = "abandon " * 11 + "about"


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return found


def chain_code_and_key(text: str) -> tuple[bytes, bytes]:
    """The last two fields of a serialised extended key, whose checksum guards the vectors against misprints."""
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    raw = number.to_bytes(82, "big")
    assert sha256(sha256(raw[:78]).digest()).digest()[:4] == raw[78:]
    return raw[13:45], raw[45:78]


@pytest.mark.parametrize("case", cases("bip32"), ids=lambda case: case["path"])
def test_bip32_vectors(case: dict[str, str]) -> None:
    key = bip32.derive(bytes.fromhex(case["seed"]), case["path"])
    assert (key.chain_code, b"\x00" + key.secret) == chain_code_and_key(case["xprv"])
    assert (key.chain_code, ecdsa.public_key(key.secret)) == chain_code_and_key(case["xpub"])


@pytest.mark.parametrize("case", cases("bip39"), ids=lambda case: f"{case['entropy'][:8]} {len(case['words'].split())}")
def test_bip39_vectors(case: dict[str, str]) -> None:
    entropy = bytes.fromhex(case["entropy"])
    assert Mnemonic("english").to_mnemonic(entropy) == case["words"]
    if len(entropy) == mnemonic.ENTROPY_BYTES:
        assert mnemonic.to_words(entropy) == case["words"]
        assert mnemonic.to_entropy(case["words"]) == entropy
    else:
        # A wallet has twelve words: longer ones are refused and not cut.
        with pytest.raises(MnemonicError, match="12 words"):
            mnemonic.to_entropy(case["words"])
        with pytest.raises(MnemonicError, match="16 bytes"):
            mnemonic.to_words(entropy)
    seed = mnemonic.to_seed(case["words"], "TREZOR")
    assert seed.hex() == case["seed"]
    key = bip32.master(seed)
    assert (key.chain_code, b"\x00" + key.secret) == chain_code_and_key(case["xprv"])


def test_the_published_vectors_are_complete() -> None:
    words = [len(case["words"].split()) for case in cases("bip39")]
    assert [words.count(number) for number in (12, 18, 24)] == [8, 8, 8]
    assert len({case["seed"] for case in cases("bip32")}) == 4 and len(cases("bip32")) == 17
    assert [case["index"] for case in cases("eip2333")] == [0, 3141592653, 4294967295, 42]


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        # Of the best known test words: Bitcoin's and Ethereum's first keys, as other wallets show them.
        ("m/44'/0'/0'/0/0", "e284129cc0922579a535bbf4d1a3b25773090d28c909bc0fed73b5e0222cc372"),
        ("m/44'/60'/0'/0/0", "1ab42cc412b618bdea3a599e3c9bae199ebf030895b039e9db1e30dafb12b727"),
        # Of this network, made with bip_utils 2.12.3 and with bip32 5.0.0 alike.
        ("m/44'/20037'/0'/0/0", "49ba69d5f429dcf21492a32fd9491203edea79f659e1b94967ce448315b5a126"),
        ("m/44'/20037'/0'/0/7", "1189bcc2b185261686c806e1a688a5cbb5f0347efdff65b80603cf8c7025c960"),
        ("m/44'/20037'/0'/0/2147483647", "b58e959fda49dce455ff357b57ff170aca59e117e500986338468d33a510c37c"),
        ("m/44'/20037'/1'/0/0", "ce25a06adce4721f0a9273432e5df031dbbb78d259a72d6ad1f82a17dc3de048"),
    ],
)
def test_bip44_paths_lead_where_other_programs_go(path: str, secret: str) -> None:
    assert bip32.derive(mnemonic.to_seed(ABOUT), path).secret.hex() == secret


@pytest.mark.parametrize("case", cases("eip2333"), ids=lambda case: str(case["index"]))
def test_eip2333_vectors(case: dict[str, Any]) -> None:
    seed = bytes.fromhex(case["seed"])
    assert eip2333.master(seed) == int(case["master"])
    assert eip2333.derive(seed, (case["index"],)) == int(case["child"])


def test_hkdf_expand_gives_the_first_vector_of_rfc_5869() -> None:
    key = hmac.digest(bytes(range(13)), b"\x0b" * 22, "sha256")
    wanted = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    assert eip2333._expand(key, bytes(range(0xF0, 0xFA)), 42).hex() == wanted


@pytest.mark.parametrize(
    "path",
    ["", "M", "m/", "/0", "m//1", "m/-1", "m/2147483648", "m/1''", "m/'", "m/0h", "m/1 ", "m/²", "m/0x1", "n/1"],
)
def test_a_path_outside_the_tree_is_refused(path: str) -> None:
    with pytest.raises(DerivationError):
        bip32.derive(bytes(16), path)


def test_paths_reach_to_their_limits() -> None:
    assert bip32.parse_path("m/2147483647/2147483647'/0") == (2**31 - 1, 2**32 - 1, 0)
    assert len(bip32.parse_path("m" + "/0" * 255)) == 255
    with pytest.raises(DerivationError):
        bip32.parse_path("m" + "/0" * 256)


def test_indexes_and_seeds_have_limits() -> None:
    key = bip32.master(bytes(16))
    bip32.master(bytes(64))
    bip32.child(key, 2**32 - 1)
    eip2333.child(1, 2**32 - 1)
    for index in (-1, 2**32):
        with pytest.raises(DerivationError):
            bip32.child(key, index)
        with pytest.raises(DerivationError):
            eip2333.child(1, index)
    for size in (15, 65):
        with pytest.raises(DerivationError):
            bip32.master(bytes(size))
    eip2333.master(bytes(32))
    with pytest.raises(DerivationError):
        eip2333.master(bytes(31))


@pytest.mark.parametrize("half", [ecdsa.CURVE_ORDER, 2**256 - 1, ecdsa.CURVE_ORDER - 7])
def test_an_index_without_a_key_is_a_named_error(half: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = bip32.ExtendedKey((7).to_bytes(32, "big"), bytes(32))
    monkeypatch.setattr(bip32.hmac, "digest", lambda *_: half.to_bytes(32, "big") + bytes(32))
    with pytest.raises(DerivationError, match="next"):
        bip32.child(parent, 0)


def test_wallet_keys_follow_the_paths_of_the_protocol() -> None:
    wallet = Wallet.from_words(ABOUT)
    seed = mnemonic.to_seed(ABOUT)
    assert wallet.entropy == bytes(16)
    for index in (0, 5, 2**31 - 1):
        assert wallet.wallet_key(index) == bip32.derive(seed, f"m/44'/20037'/0'/0/{index}").secret
        assert wallet.node_key(index) == bip32.derive(seed, f"m/44'/20037'/1'/0/{index}").secret
    assert int.from_bytes(wallet.validator_key(3), "big") == eip2333.derive(seed, (12381, 20037, 3, 0))


def test_the_keys_of_known_words_never_change() -> None:
    """Golden: were one of these to change, every wallet would lose its money."""
    wallet = Wallet.from_words(ABOUT)
    assert address.to_text(wallet.address()) == "neuro1qrepch3a5sn42l5xvtvn0jpgmjwkkzf8d5m6yy6l"
    assert (
        ecdsa.public_key(wallet.node_key()).hex()
        == "0352b231f1197d8462d7a92e0b60eb9d61fa09193e00d8ac499f0744396894f2f1"
    )
    assert (
        bls.public_key(wallet.validator_key()).hex()
        == "b30d51342bcae63df0e7e0a7efafa86f1edd9db076ac0873922f5f8e531598d0d5905ab21681534eff48a33fb68013eb"
    )


@pytest.mark.parametrize("index", [-1, 2**31])
def test_a_key_index_out_of_range_is_refused(index: int) -> None:
    wallet = Wallet(bytes(16))
    for key in (wallet.wallet_key, wallet.node_key, wallet.validator_key, wallet.address):
        with pytest.raises(DerivationError):
            key(index)
