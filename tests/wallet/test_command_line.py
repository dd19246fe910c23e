"""`neuroshard wallet COMMAND` as a script runs it: what it prints where, and how it ends."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from tests.node.processes import PASSWORD, ROOT
from tests.wallet.people import a_wallet
from wallet.errors import BadValue
from wallet.line import read
from wallet.registry import find
from wallet.terminal import Terminal

pytestmark = pytest.mark.usefixtures("cheap")


class Gone(StringIO):
    """A pipe that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def ran(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD")}
    command = [sys.executable, *words]
    return subprocess.run(command, check=False, cwd=ROOT, env=clean | more, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "words", [("send", "--json"), ("sendd", "--json"), ("balance", "--json", "--password-file", "/nowhere/at-all")]
)
def test_a_line_that_cannot_be_read_is_one_object_too_where_one_was_asked_for(words):
    done = ran("-m", "node", "wallet", *words)
    assert done.returncode == 2 and done.stderr == "" and json.loads(done.stdout)["error"]["code"] == "usage"


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_words_that_were_typed_where_none_belong_are_not_repeated(more):
    done = ran("-m", "node", "wallet", "restore", *("zebra zone zoo " * 4).split(), *more)
    assert done.returncode == 2 and "zoo" not in done.stdout + done.stderr and "more words" in done.stdout + done.stderr
    with pytest.raises(BadValue) as refused:
        read(find("restore"), ["zebra", "zoo"])
    assert "zoo" not in str(refused.value) and "restore [--words-file FILE]" in str(refused.value)


def test_a_terminal_of_few_letters_shows_others_for_what_it_lacks(tmp_path: Path):
    a_wallet(tmp_path).label_account(0, "母親")
    done = ran("-m", "node", "wallet", "receive", "--data-dir", str(tmp_path), PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and done.stdout.startswith("??: neuro1") and "no letters for a QR code" in done.stdout


def test_what_is_told_beside_an_answer_never_costs_the_answer_and_steers_no_terminal(monkeypatch, capsys):
    Terminal().tell("one\x1b[2J\u202etwo")
    told = capsys.readouterr().err
    assert "one" in told and "\x1b" not in told and "\u202e" not in told
    monkeypatch.setattr("sys.stderr", Gone())
    Terminal().tell("nobody reads this")


def test_a_wallet_that_breaks_leaves_no_core_file_with_keys():
    script = (
        "import resource as r; from node.wallet_cli import _session_parts as parts; r.setrlimit(r.RLIMIT_CORE, (9, 9));"
        "parts({'data_dir': None, 'api': None, 'password_file': None}); print(r.getrlimit(r.RLIMIT_CORE))"
    )
    assert ran("-c", script, NEUROSHARD_PASSWORD=PASSWORD).stdout == "(0, 0)\n"
