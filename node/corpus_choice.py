"""The corpus that a network names, found on this machine."""

from pathlib import Path
from typing import Any

from chain.genesis import Network
from node.corpus_store import OwnCorpus
from node.errors import disk_advice
from node.failpoints import reach
from training.corpus import Corpus, Progress, is_cached
from training.errors import CorpusError
from training.manifest import Manifest, read_manifest
from training.pieces import sizes, stored_pieces
from training.sources import Source, folder_source, package_folder, shipped_file


def shipped_manifest() -> Manifest:
    """The manifest of the corpus that comes with an installed package. Raises CorpusError."""
    path = shipped_file("manifest.json")
    try:
        return read_manifest(path.read_text())
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}; reinstall the program") from error


def tokenizer_path() -> Path:
    return shipped_file("tokenizer.json")


def tokenizer_of(network: Network, root: Path) -> Path:
    """The tokenizer file of a network on the data directory `root`."""
    own = OwnCorpus(root / "corpus").tokenizer_path(network.tokenizer_hash)
    return own if own.exists() else tokenizer_path()


def tokenizer_to_be(network: Network, root: Path) -> Path:
    """Where a tokenizer that others gave is kept."""
    return OwnCorpus(root / "corpus").tokenizer_path(network.tokenizer_hash)


def fetched_path(network: Network, root: Path) -> Path:
    """The manifest of a corpus of which others gave the tokens: its shards name no documents."""
    return root / "tokens" / f"{network.corpus_root.hex()[:16]}-manifest.json"


def known_manifest(network: Network, root: Path) -> Manifest | None:
    """The network's manifest, wherever it comes from. Raises CorpusError if one of ours is damaged."""
    if (shipped := shipped_manifest()).root == network.corpus_root:
        return shipped
    own = OwnCorpus(root / "corpus").manifest()
    return own if own is not None and own.root == network.corpus_root else _fetched_manifest(network, root)


def _fetched_manifest(network: Network, root: Path) -> Manifest | None:
    try:
        found = read_manifest(fetched_path(network, root).read_text())
    except (OSError, UnicodeError, CorpusError):
        return None  # it can be fetched again
    return found if found.root == network.corpus_root else None


def is_here(network: Network, root: Path) -> bool:
    """Whether the trainer will have a corpus: its tokens, or all of its text. Reads all tokens."""
    try:
        manifest = known_manifest(network, root)
        if manifest is None:
            return False
        return is_cached(manifest, root / "tokens") or _has_text(manifest, root)
    except CorpusError:
        return False


def _has_text(manifest: Manifest, root: Path) -> bool:
    """Raises CorpusError if the package that holds it is not installed."""
    if manifest.root == shipped_manifest().root:
        return package_folder().is_dir()
    documents = [name for shard in manifest.shards for name in shard.documents]
    return bool(documents) and all((root / "corpus" / digest).is_file() for digest in sizes(documents))


def chosen_manifest(network: Network, root: Path) -> tuple[Manifest, Source]:
    """The network's manifest and where its documents are. Raises CorpusError."""
    manifest = known_manifest(network, root)
    if manifest is None:
        own = OwnCorpus(root / "corpus").manifest()
        here = f"{shipped_manifest().root.hex()[:16]} (shipped)"
        here += "" if own is None else f" and {own.root.hex()[:16]} (your own)"
        raise CorpusError(
            f"the network trains on the corpus {network.corpus_root.hex()[:16]}, here are {here}: start with "
            "--peer HOST:PORT to be given it by other nodes, or add the network's own text files, all of them, with "
            "`neuroshard data add`"
        )
    if manifest.root == shipped_manifest().root:
        return manifest, _package_text
    if not any(shard.documents for shard in manifest.shards):
        if not is_cached(manifest, root / "tokens"):
            raise CorpusError(
                "the tokens that other nodes gave are lost or damaged: start with --peer HOST:PORT to get them again"
            )
        return manifest, _no_text
    return manifest, stored_pieces(root / "corpus")


def _package_text(name: str) -> bytes:
    """Looked for when it is read: who has all tokens needs no package."""
    return folder_source(package_folder())(name)


def _no_text(name: str) -> bytes:
    raise CorpusError(f"the text {name[:100]} was never here: only its tokens were fetched")


def with_own_corpus(template: dict[str, Any], root: Path) -> dict[str, Any]:
    """The template of a new network on the operator's own text, if some has been added. Raises CorpusError."""
    own = OwnCorpus(root / "corpus").manifest()
    if own is None:
        return template
    vocabulary = template["parameters"]["model.vocabulary"]
    if own.vocabulary > vocabulary:
        raise CorpusError(
            f"your text was cut with {own.vocabulary} tokens, this profile's model knows {vocabulary}: "
            "add it again with --profile, or start with the profile it was added for"
        )
    numbers = {**template["parameters"], "chain.corpus_shards": len(own.shards)}
    named = {"tokenizer_sha256": own.tokenizer_sha256.hex(), "corpus_root": own.root.hex()}
    return {**template, **named, "parameters": numbers}


def open_corpus(network: Network, root: Path, progress: Progress) -> Corpus:
    """The verified tokens of `network`, kept in tokens/ under `root`. Raises CorpusError or TokenizerError."""
    manifest, source = chosen_manifest(network, root)
    if manifest.tokenizer_sha256 != network.tokenizer_hash:
        raise CorpusError("the manifest was made with another tokenizer than the network's; reinstall the program")
    vocabulary = network.section("model").get("vocabulary", 0)
    if manifest.vocabulary > vocabulary:
        raise CorpusError(f"the corpus has {manifest.vocabulary} tokens, the network's model only {vocabulary}")
    cache = root / "tokens"
    try:
        reach("tokens.before")
        corpus = Corpus.open(manifest, source, tokenizer_of(network, root), cache, progress)
        reach("tokens.durable")
    except OSError as error:
        raise CorpusError(f"cannot keep the corpus in {error.filename or cache}: {disk_advice(error)}") from error
    return corpus
