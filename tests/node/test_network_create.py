"""`network create`, `key` and `show`: a network's file is made from proven keys and numbers that this program knows."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chain.address import to_text
from chain.errors import InvalidGenesis
from chain.genesis import NETWORK_PREFIX, BootstrapValidator, parse_network
from node.cli import cli
from node.errors import NodeError
from node.identity import Identity
from node.validator_record import PREFIX, TEXT_MAXIMUM, BadRecord, read_record, record_text
from tests.node.processes import PASSWORD
from wallet.keys import Wallet


def founder(number: int) -> BootstrapValidator:
    return Identity.of(Wallet(bytes([number]) * 16)).bootstrap_validator()


FOUNDERS = [founder(number) for number in range(8)]
RECORDS = [record_text(each) for each in FOUNDERS]


@pytest.fixture(autouse=True)
def _cheap_and_from_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    defaults: Any = Wallet.to_keystore.__kwdefaults__
    monkeypatch.setitem(defaults, "scrypt_n", 2)
    monkeypatch.setenv("NEUROSHARD_DATA_DIR", str(tmp_path / "home"))


def called(*words: str, **variables: str) -> Result:
    return CliRunner().invoke(cli, ["network", *words], env=variables)


def created(folder: Path, *words: str) -> Result:
    """A network of the lab profile, written into a new file."""
    return called("create", "--profile", "lab", "-o", str(folder / "made"), *words)


def refusal(result: Result) -> str:
    assert isinstance(result.exception, NodeError | InvalidGenesis), result.output
    return str(result.exception)


# ---- The record


def test_a_record_tells_key_possession_and_payout_and_survives_a_letter() -> None:
    assert [read_record(text) for text in RECORDS] == FOUNDERS
    wrapped = "\n ".join(RECORDS[0][at : at + 40] for at in range(0, len(RECORDS[0]), 40)).upper()
    assert read_record(f" {wrapped}\r\n") == FOUNDERS[0]


def test_every_changed_lost_or_added_character_of_a_record_is_noticed() -> None:
    text = RECORDS[0]
    for at in range(len(PREFIX), len(text)):
        other = "b" if text[at] == "a" else "a"
        for wrong in (text[:at] + other + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + other + text[at:]):
            with pytest.raises(BadRecord):
                read_record(wrong)


@pytest.mark.parametrize("text", ["", PREFIX, "neuro1abc", "x" * 10_000, PREFIX + "é", PREFIX + "a" * TEXT_MAXIMUM])
def test_what_is_no_record_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadRecord):
        read_record(text)


def with_check(record: bytes) -> str:
    """A record as somebody writes it who computes its checksum himself."""
    check = sha256(PREFIX.encode() + record).digest()[:4]
    return PREFIX + base64.b32encode(record + check).decode().lower().rstrip("=")


def test_a_forged_possession_is_refused() -> None:
    forged = BootstrapValidator(FOUNDERS[0].public_key, FOUNDERS[1].possession, FOUNDERS[0].payout)
    with pytest.raises(BadRecord, match="does not prove possession of its key"):
        read_record(with_check(forged.encode()))
    with pytest.raises(BadRecord, match="checksum"):
        read_record(with_check(FOUNDERS[0].encode() + b"\x00"))


# ---- key


def test_key_makes_a_wallet_once_and_prints_the_record_alone(tmp_path: Path) -> None:
    first = called("key", NEUROSHARD_PASSWORD=PASSWORD)
    assert first.exit_code == 0 and "Write these twelve words down" in first.stderr
    again = called("key", NEUROSHARD_PASSWORD=PASSWORD)
    assert again.stdout == first.stdout and "words" not in again.stderr
    wallet = Wallet.load(tmp_path / "home" / "keystore.json", PASSWORD)
    assert read_record(first.stdout) == Identity.of(wallet).bootstrap_validator()
    found = json.loads(called("key", "--json", NEUROSHARD_PASSWORD=PASSWORD).stdout)
    assert (found["record"], found["payout"]) == (first.stdout.strip(), to_text(wallet.address()))


# ---- create


def test_a_network_begins_with_the_wallet_of_the_data_directory(tmp_path: Path) -> None:
    words = Wallet(bytes([3]) * 16).words()
    (tmp_path / "token").write_text(words)
    result = created(tmp_path, "--token-file", str(tmp_path / "token"))
    assert result.exit_code == 0, result.output
    assert parse_network((tmp_path / "made").read_bytes()).validators == (FOUNDERS[3],)


def test_a_network_begins_with_one_to_seven_others_given_as_records_or_files(tmp_path: Path) -> None:
    (tmp_path / "record").write_text(RECORDS[0] + "\n")
    given = [word for record in RECORDS[1:7] for word in ("--validator", record)]
    result = created(tmp_path, "--validator", str(tmp_path / "record"), *given, "--name", "ours", "--json")
    network = parse_network((tmp_path / "made").read_bytes())
    assert network.validators == tuple(FOUNDERS[:7]) and network.name == b"ours"
    assert json.loads(result.stdout)["chain_id"] == network.chain_id.hex()
    assert not (tmp_path / "home").exists()


def test_eight_bootstrap_validators_are_too_many(tmp_path: Path) -> None:
    given = [word for record in RECORDS for word in ("--validator", record)]
    assert "1 to 7 bootstrap validators, these are 8" in refusal(created(tmp_path, *given))
    assert not (tmp_path / "made").exists()


def test_a_validator_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    assert "given twice" in refusal(created(tmp_path, "--validator", RECORDS[0], "--validator", RECORDS[0].upper()))


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "made").write_text("mine")
    assert "is there already" in refusal(created(tmp_path, "--validator", RECORDS[0]))
    assert (tmp_path / "made").read_text() == "mine"


def test_a_file_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    assert "cannot write" in refusal(created(tmp_path / "no folder", "--validator", RECORDS[0]))


def test_numbers_of_the_profile_can_be_changed(tmp_path: Path) -> None:
    created(tmp_path, "--validator", RECORDS[0], "--set", "chain.epoch_blocks=7", "--set", "inner.warmup_steps=8")
    network = parse_network((tmp_path / "made").read_bytes())
    assert network.params.epoch_blocks == 7 and network.section("inner")["warmup_steps"] == 8


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (["chain.epoch_block=7"], "no parameter has this name"),
        (["chain.epoch_blocks"], "NAME=N is wanted"),
        (["chain.epoch_blocks=-1"], "NAME=N is wanted"),
        (["chain.epoch_blocks=٣"], "NAME=N is wanted"),
        (["chain.epoch_blocks=" + "9" * 39], "NAME=N is wanted"),
        (["chain.epoch_blocks=0"], "must be at least 1"),
        (["chain.epoch_blocks=281474976710657"], "are above"),
        (["chain.seats=65536"], "4 to 1024"),
        (["chain.epoch_blocks=7", "chain.epoch_blocks=8"], "is given twice"),
        (["model.width=0"], "every size of a model is at least 1"),
        (["model.context=63"], "exceed the context"),
    ],
)
def test_numbers_that_cannot_be_are_refused_with_what_is_wrong(tmp_path: Path, wish: list[str], words: str) -> None:
    flags = [word for each in wish for word in ("--set", each)]
    assert words in refusal(created(tmp_path, "--validator", RECORDS[0], *flags))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["", "a" * 65, "ä" * 33, "a\nb", "\udcff"])
def test_a_name_is_1_to_64_bytes_of_printable_text(tmp_path: Path, name: str) -> None:
    assert "1 to 64 bytes" in refusal(created(tmp_path, "--validator", RECORDS[0], "--name", name))
    created(tmp_path, "--validator", RECORDS[0], "--name", "ä" * 32)
    assert parse_network((tmp_path / "made").read_bytes()).name.decode() == "ä" * 32


# ---- show


def test_show_tells_a_files_network_and_how_to_join_it(tmp_path: Path) -> None:
    created(tmp_path, "--validator", RECORDS[0], "--validator", RECORDS[1])
    network = parse_network((tmp_path / "made").read_bytes())
    found = json.loads(called("show", str(tmp_path / "made"), "--json").stdout)
    assert found["chain_id"] == network.chain_id.hex() and found["parameters"]["chain.epoch_blocks"] == 20
    assert [each["payout"] for each in found["validators"]] == [to_text(each.payout) for each in FOUNDERS[:2]]
    assert found["join"].startswith("neuroshard --network made --peer HOST:PORT")
    lines = called("show", str(tmp_path / "made")).stdout.splitlines()
    assert f"bootstrap validator: {FOUNDERS[1].public_key.hex()}, paid to {to_text(FOUNDERS[1].payout)}" in lines


@pytest.mark.parametrize("content", [None, b"", NETWORK_PREFIX + b"\x00"])
def test_show_refuses_what_is_no_network_file(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "made").write_bytes(content)
    assert refusal(called("show", str(tmp_path / "made")))
