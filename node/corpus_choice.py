"""The corpus that a network names, found on this machine."""

from pathlib import Path
from typing import Any

from chain.genesis import Network
from node.corpus_store import OwnCorpus
from node.errors import disk_advice
from node.failpoints import reach
from training.corpus import Corpus, Progress
from training.errors import CorpusError
from training.manifest import Manifest, read_manifest
from training.pieces import stored_pieces
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


def chosen_manifest(network: Network, root: Path) -> tuple[Manifest, Source]:
    """The network's manifest, shipped or the operator's own, and where its documents are. Raises CorpusError."""
    shipped = shipped_manifest()
    if shipped.root == network.corpus_root:
        return shipped, folder_source(package_folder())
    folder = root / "corpus"
    own = OwnCorpus(folder).manifest()
    if own is not None and own.root == network.corpus_root:
        return own, stored_pieces(folder)
    here = f"{shipped.root.hex()[:16]} (shipped)" + ("" if own is None else f" and {own.root.hex()[:16]} (your own)")
    raise CorpusError(
        f"the network trains on the corpus {network.corpus_root.hex()[:16]}, here are {here}: add the network's own "
        "text files, all of them, with `neuroshard data add`, or install the version of the program that made it"
    )


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
    return {**template, "tokenizer_sha256": own.tokenizer_sha256.hex(), "corpus_root": own.root.hex()}


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
