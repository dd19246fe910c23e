"""`neuroshard data add`: the same text gives the same corpus, spoilt text is refused, and a node trains on it."""

import json
import random
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from node.cli import cli
from node.corpus_store import OwnCorpus
from node.errors import NodeError
from tests.node.processes import NodeProcess, wait_for
from training.errors import CorpusError
from training.manifest import is_held_out
from training.pieces import check_text, pieces
from training.tokens import train_tokenizer

WORDS = ("people", "of", "this", "union", "have", "seen", "many", "winters", "and", "every", "one", "a", "spring")


def prose(seed: int, paragraphs: int = 400) -> str:
    chance = random.Random(seed)
    return "\n\n".join(" ".join(chance.choices(WORDS, k=120)) for _ in range(paragraphs))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for seed in range(3):
        (folder / f"{seed}.txt").write_text(prose(seed))
    return folder


def added(home: Path, *files: Path, profile: str = "lab") -> dict[str, object]:
    """What `neuroshard data add --json` prints. Raises what the command raises."""
    arguments = ["data", "add", *map(str, files), "--data-dir", str(home), "--profile", profile, "--json"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content: dict[str, object] = json.loads(result.stdout)
    return content


def test_the_same_texts_give_the_same_corpus_whatever_their_names_order_and_number_of_calls(
    tmp_path: Path, texts: Path
) -> None:
    at_once = added(tmp_path / "one", texts)
    copy = tmp_path / "another name.md"
    copy.write_bytes((texts / "1.txt").read_bytes())
    added(tmp_path / "two", texts / "2.txt", copy)
    assert added(tmp_path / "two", texts / "0.txt", copy)["corpus_root"] == at_once["corpus_root"]
    assert len(at_once["files"]) == 3  # type: ignore[arg-type]


def test_the_tokenizer_sees_no_text_that_is_held_out(tmp_path: Path, texts: Path) -> None:
    corpus, documents = added(tmp_path / "home", texts), []
    for digest, path in sorted((check_text(path)[0], path) for path in texts.iterdir()):
        documents += [text for _, text in pieces(path, digest)]
    learnt = train_tokenizer(
        [text.decode() for text in documents if not is_held_out(text)], int(str(corpus["vocabulary"]))
    )
    assert any(map(is_held_out, documents)) and corpus["tokenizer_sha256"] == sha256(learnt).hexdigest()


def test_a_refused_file_changes_nothing(tmp_path: Path, texts: Path) -> None:
    home = tmp_path / "home"
    before = added(home, texts / "0.txt", texts / "1.txt")
    spoilt = tmp_path / "spoilt.txt"
    spoilt.write_bytes(b"\xff\xfe")
    with pytest.raises(CorpusError, match=r"spoilt\.txt is not UTF-8"):
        added(home, texts / "2.txt", spoilt)
    result = CliRunner().invoke(cli, ["data", "show", "--data-dir", str(home), "--json"])
    assert json.loads(result.stdout) == before


@pytest.mark.parametrize("content", ["a few words", ""])
def test_too_little_text_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "short.txt").write_text(content)
    with pytest.raises(CorpusError, match=r"add more text|is empty"):
        added(tmp_path / "home", tmp_path / "short.txt")


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(CorpusError, match=r"holds no files ending in \.txt or \.md"):
        added(tmp_path / "home", tmp_path / "folder")


def test_a_node_trains_on_its_operators_text_and_says_what_is_missing(tmp_path: Path, texts: Path) -> None:
    home = tmp_path / "home"
    corpus = added(home, texts)
    ended = NodeProcess(home, "--until-round", "1", "--json").ended()
    assert ended.status == 0, ended.err
    network = json.loads(CliRunner().invoke(cli, ["network", "show", "--data-dir", str(home), "--json"]).stdout)
    assert network["corpus_root"] == corpus["corpus_root"]
    verified = CliRunner().invoke(cli, ["archive", "verify", "--data-dir", str(home)])
    assert verified.exit_code == 0 and "1 rounds closed" in verified.output

    more = tmp_path / "more.txt"
    more.write_text(prose(9))
    with pytest.raises(NodeError, match="give exactly the network's files"):
        added(home, more)
    assert added(home, texts / "0.txt") == corpus

    for file in (home / "tokens").iterdir():
        file.unlink()
    lost = home / "corpus" / OwnCorpus(home / "corpus").names().popitem()[0]
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(CorpusError, match="is lost or damaged"):
        added(home, texts / "0.txt" if content != (texts / "0.txt").read_bytes() else texts / "1.txt")
    running = NodeProcess(home)
    log = home / "logs" / "node.log"
    wait_for(lambda: "add its file again with data add" in log.read_text(), running)
    running.end()
    lost.write_bytes(content[::-1])
    (tmp_path / "found.txt").write_bytes(content)
    assert added(home, tmp_path / "found.txt")["corpus_root"] == corpus["corpus_root"]
    assert lost.read_bytes() == content
