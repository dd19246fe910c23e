"""A node is given known words on its command line and a known password, and lives: neither can be found afterwards.

Not in what it prints, not in a log at the level debug, not in any file, and not in what the system shows of its
processes.
"""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from node import __main__ as entrance
from node.auditor import Auditor
from node.cli_secrets import password_of, token_of
from node.network_file import kept_network
from tests.node.processes import PASSWORD, Ended, NodeProcess, wait_for
from tests.node.served import a_transfer
from tests.node.test_exit_codes import run
from wallet.keys import Wallet

WALLET = Wallet(bytes(range(100, 116)))
WORDS = WALLET.words().split()
pytestmark = pytest.mark.timeout(300)


def forms_of(secret: bytes) -> list[bytes]:
    """As it is, reversed, as hexadecimal digits and as base64 of all three alignments."""
    aligned = [base64.b64encode(bytes(skip) + secret)[4 : -4 or None] for skip in range(3)]
    digits = secret.hex()
    return [
        secret,
        secret[::-1],
        digits.encode(),
        digits.upper().encode(),
        *(each for each in aligned if len(each) > 8),
    ]


def secrets() -> dict[str, bytes]:
    """Every form of everything that nobody may see."""
    windows = [WORDS[at : at + 3] for at in range(10)]
    texts = {"password": PASSWORD.encode()}
    for separator in (" ", ",", "\\n", "\x00"):
        texts |= {f"words {separator!r} {at}": separator.join(each).encode() for at, each in enumerate(windows)}
        texts |= {f"back {separator!r} {at}": separator.join(each[::-1]).encode() for at, each in enumerate(windows)}
    texts["quoted"] = '", "'.join(WORDS[:3]).encode()
    keys = {
        "entropy": WALLET.entropy, "seed": WALLET.seed, "wallet key": WALLET.wallet_key(),
        "node key": WALLET.node_key(), "validator key": WALLET.validator_key(),
    }  # fmt: skip
    found = dict(texts)
    for name, secret in (keys | {"whole": " ".join(WORDS).encode(), "password": PASSWORD.encode()}).items():
        found |= {f"{name} {number}": form for number, form in enumerate(forms_of(secret))}
    return found


SECRETS = secrets()


def told_in(content: bytes) -> list[str]:
    return [name for name, secret in SECRETS.items() if secret in content]


def shown_of(pid: int) -> bytes:
    """What the system shows of a process, to others and to its owner."""
    parts = []
    for path in [Path(f"/proc/{pid}/{name}") for name in ("cmdline", "environ", "comm", "status", "maps")]:
        parts.append(path.read_bytes())
    parts += [path.read_bytes() for path in Path(f"/proc/{pid}/task").glob("*/comm")]
    if shutil.which("ps"):
        parts.append(subprocess.run(["ps", "eww", "-p", str(pid)], capture_output=True, check=False).stdout)
    return b"\n".join(parts)


@dataclass
class Lived:
    home: Path
    shown: list[bytes] = field(default_factory=list)  # of the node's and the trainer's process
    served: bytes = b""
    ended: Ended = field(default_factory=lambda: Ended(-1, "", ""))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """It trains, earns, is asked, is sent nonsense, pays, and is told to end."""
    seen = Lived(tmp_path_factory.mktemp("secret") / "home")
    node = NodeProcess(
        seen.home, "--token", " ".join(WORDS), "--listen", "127.0.0.1:0", "--allow-local", "--terminal-level", "debug",
        environment={"NEUROSHARD_PASSWORD": PASSWORD},
    )  # fmt: skip
    try:
        trainer = wait_for(node.trainer, node)
        status = node.until(lambda status: status["closed_rounds"] >= 1 and int(status["minted_nanos"]) > 0)
        node.told_nonsense()
        host, _, port = status["listen"].rpartition(":")
        with socket.create_connection((host, int(port))) as stream:
            stream.sendall(b"\x16\x03\x01 nonsense" + " ".join(WORDS[:1]).encode())
        url = "http://" + json.loads((seen.home / "api.json").read_text())["address"]
        network = kept_network(seen.home / "network")
        payment = a_transfer(network, 0, 1, secret=WALLET.wallet_key())
        body = json.dumps({"transaction": payment.encode().hex()}).encode()
        for path in ("/v1/status", "/v1/peers", "/v1/parameters", "/metrics", "/v1/events"):
            with urlopen(url + path, timeout=20) as answer:
                seen.served += answer.read(20_000) if path != "/v1/events" else answer.readline() + answer.readline()
        for token in ((seen.home / "api-token").read_text().strip(), " ".join(WORDS)):
            request = Request(url + "/v1/operator/settings", headers={"Authorization": f"Bearer {token}"})
            try:
                with urlopen(request, timeout=20) as answer:
                    seen.served += answer.read(20_000)
            except HTTPError as error:  # the words are no token
                seen.served += error.read()
        request = Request(url + "/v1/transactions", body, {"Content-Type": "application/json"})
        try:
            urlopen(request, timeout=20).close()
        except OSError as error:  # refused, as long as what was earned is vesting
            seen.served += str(error).encode()
        seen.shown = [shown_of(node.process.pid), shown_of(trainer)]
        seen.ended = node.end(signal.SIGTERM)
    finally:
        if node.process.poll() is None:
            node.process.kill()
            node.process.communicate()
    yield seen


def test_the_node_used_the_words_and_trained_and_earned(lived: Lived) -> None:
    assert lived.ended.status == 0, lived.ended.err
    assert Wallet.load(lived.home / "keystore.json", PASSWORD) == WALLET


def test_the_user_is_warned_of_the_argument(lived: Lived) -> None:
    assert "can be read by others on this machine" in lived.ended.err and "--token-file" in lived.ended.err


def test_nothing_that_it_printed_or_answered_holds_a_secret(lived: Lived) -> None:
    for content in (lived.ended.out, lived.ended.err):
        joined = " ".join(content.split()).encode()
        assert told_in(joined) == [] and told_in(content.encode()) == []
    assert lived.served and told_in(lived.served) == []


def test_no_file_that_it_left_holds_a_secret(lived: Lived) -> None:
    files = [path for path in lived.home.rglob("*") if path.is_file()]
    assert {"keystore.json", "node.log", "network", "sign-state"} <= {path.name for path in files}
    assert " debug " in (lived.home / "logs" / "node.log").read_text()
    for path in files:
        assert told_in(path.read_bytes()) == [], path


def test_the_system_shows_no_secret_of_the_node_or_its_trainer(lived: Lived) -> None:
    node, trainer = lived.shown
    assert node.startswith(b"neuroshard\x00") and b"node.trainer_main" in trainer
    for shown in lived.shown:
        assert told_in(shown) == []


def test_the_operators_token_stands_in_its_file_alone(lived: Lived) -> None:
    token = (lived.home / "api-token").read_text().strip()
    forms = [*forms_of(bytes.fromhex(token)), token[::-1].encode()]
    shown = {"out": lived.ended.out.encode(), "err": lived.ended.err.encode(), "served": lived.served}
    shown |= {f"process {number}": content for number, content in enumerate(lived.shown)}
    files = [path for path in lived.home.rglob("*") if path.is_file() and path.name != "api-token"]
    shown |= {str(path): path.read_bytes() for path in files}
    assert b"log_level" in lived.served and b"unauthorized" in lived.served
    for name, content in shown.items():
        assert not [form for form in forms if form in content], name


def test_the_search_finds_each_form_where_it_is(tmp_path: Path) -> None:
    for name, secret in SECRETS.items():
        assert name in told_in(b"a line" + secret + b"\n")
    assert "whole 4" in told_in(base64.b64encode(" ".join(WORDS).encode()))
    assert told_in(b"abandon " * 12) == []


async def test_an_auditors_process_inherits_neither_words_nor_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROSHARD_TOKEN", " ".join(WORDS))
    monkeypatch.setenv("NEUROSHARD_PASSWORD", PASSWORD)
    assert token_of({"token": None, "token_file": None}) == " ".join(WORDS)
    assert password_of({"password_file": None}) == PASSWORD
    auditor = Auditor(tmp_path)
    process = await auditor._living()
    try:
        shown = shown_of(process.pid)
        assert b"PATH=" in shown and b"node.auditor_main" in shown and told_in(shown) == []
    finally:
        await auditor.stop()


# ---- Words that are none


@pytest.mark.parametrize("words", [[*WORDS[:11], WORDS[0]], [*WORDS[:10], "qqqqq", WORDS[10]], WORDS[:11]])
def test_words_that_are_no_wallet_are_refused_and_not_repeated(tmp_path: Path, words: list[str]) -> None:
    home = tmp_path / "home"
    done = run("--token", " ".join(words), "--data-dir", str(home), "--no-training")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert told_in((done.stdout + done.stderr).encode()) == []
    assert [word for word in WORDS if f" {word} " in done.stderr.replace("'", " ")] == []
    assert not (home / "keystore.json").exists()


@pytest.mark.parametrize("argument", ["--token", "--token="])
def test_the_argument_is_overwritten_before_anything_is_imported(
    argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr("setproctitle.setproctitle", titles.append)
    monkeypatch.setattr(entrance.sys, "argv", ["neuroshard", argument, "words"])
    monkeypatch.setattr(entrance.sys, "orig_argv", ["python", "neuroshard", argument, "words"])
    entrance.hide_secrets()
    assert titles == ["neuroshard"] and entrance.sys.orig_argv == ["neuroshard"]


def test_a_secret_of_the_environment_is_overwritten_and_a_start_without_one_keeps_its_title(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    titles: list[str] = []
    monkeypatch.setattr("setproctitle.setproctitle", titles.append)
    monkeypatch.setattr(entrance.sys, "argv", ["neuroshard", "--token-file", "words"])
    for name in entrance.SECRET_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    entrance.hide_secrets()
    assert titles == []
    for count, name in enumerate(entrance.SECRET_VARIABLES, 1):
        monkeypatch.setenv(name, "words")
        entrance.hide_secrets()
        assert len(titles) == count
        monkeypatch.delenv(name)
    assert "NEUROSHARD_TOKEN" not in os.environ
