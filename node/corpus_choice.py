"""The corpus that a network names, found on this machine."""

from pathlib import Path

from chain.genesis import Network
from node.errors import disk_advice
from node.failpoints import reach
from training.corpus import Corpus, Progress
from training.errors import CorpusError
from training.manifest import Manifest, read_manifest
from training.sources import folder_source, package_folder, shipped_file


def shipped_manifest() -> Manifest:
    """The manifest of the corpus that comes with an installed package. Raises CorpusError."""
    path = shipped_file("manifest.json")
    try:
        return read_manifest(path.read_text())
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}; reinstall the program") from error


def tokenizer_path() -> Path:
    return shipped_file("tokenizer.json")


def open_corpus(network: Network, cache: Path, progress: Progress) -> Corpus:
    """The verified tokens that `network` trains on. Raises CorpusError or TokenizerError."""
    manifest = shipped_manifest()
    if manifest.root != network.corpus_root:
        raise CorpusError(
            f"the network trains on the corpus {network.corpus_root.hex()[:16]}, this program ships "
            f"{manifest.root.hex()[:16]}: install the version of the program that made the network"
        )
    if manifest.tokenizer_sha256 != network.tokenizer_hash:
        raise CorpusError("the manifest was made with another tokenizer than the network's; reinstall the program")
    vocabulary = network.section("model").get("vocabulary", 0)
    if manifest.vocabulary > vocabulary:
        raise CorpusError(f"the corpus has {manifest.vocabulary} tokens, the network's model only {vocabulary}")
    try:
        reach("tokens.before")
        corpus = Corpus.open(manifest, folder_source(package_folder()), tokenizer_path(), cache, progress)
        reach("tokens.durable")
    except OSError as error:
        raise CorpusError(f"cannot keep the corpus in {error.filename or cache}: {disk_advice(error)}") from error
    return corpus
