"""A node that joins a network with its operator's own text needs nothing but the network file and a peer."""

import json
from hashlib import sha256
from pathlib import Path

from click.testing import CliRunner

from node.cli import cli
from tests.node.processes import NodeProcess
from tests.node.test_own_corpus import added, prose


def listening(process: NodeProcess) -> str:
    return str(process.until(lambda status: status.get("listen"))["listen"])


def test_a_joiner_gets_the_operators_text_from_its_peer_and_trains_on_it(tmp_path: Path) -> None:
    text = tmp_path / "mine.txt"
    text.write_text(prose(7, 3_000))
    host, joiner = tmp_path / "host", tmp_path / "joiner"
    corpus = added(host, text)
    first = NodeProcess(host, "--listen", "127.0.0.1:0", "--allow-local")
    try:
        first.until(lambda status: status["round"] >= 1)
        address = listening(first)
        second = NodeProcess(joiner, "--network", str(host / "network"), "--peer", address, "--allow-local")
        try:
            second.until(lambda status: status["step"])
        finally:
            ended = second.end()
        assert ended.status == 0 and "every shard verified" in ended.out, ended.out + ended.err
    finally:
        first.end()
    root = str(corpus["corpus_root"])[:16]
    for split in ("train", "validation"):
        assert (joiner / "tokens" / f"{root}-{split}.u16").read_bytes() == (
            host / "tokens" / f"{root}-{split}.u16"
        ).read_bytes()
    tokenizer = (joiner / "corpus" / f"{corpus['tokenizer_sha256']}.tokenizer.json").read_bytes()
    assert sha256(tokenizer).hexdigest() == corpus["tokenizer_sha256"]
    assert not (joiner / "tokens" / "incoming").exists() and not list((joiner / "corpus").glob("*.txt"))
    network = json.loads(CliRunner().invoke(cli, ["network", "show", "--data-dir", str(joiner), "--json"]).stdout)
    assert network["corpus_root"] == corpus["corpus_root"]
