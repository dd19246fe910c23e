"""`neuroshard data`: the operator's own text for a network."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from node.corpus_store import OwnCorpus
from node.data_directory import DataDirectory
from node.errors import NodeError
from node.network_file import kept_network
from node.template import read_template, template_path
from training.manifest import SPLITS, Manifest
from training.pieces import sizes


def add(data_directory: Path, files: list[Path], tokenizer: str, profile: str, as_json: bool) -> None:
    """Add text files to the directory's own corpus. Raises NodeError, CorpusError or TokenizerError."""
    numbers = read_template(template_path(), profile)["parameters"]
    directory = DataDirectory(data_directory)
    directory.lock()
    try:
        directory.create()
        network_path = directory / "network"
        network = kept_network(network_path) if network_path.exists() else None
        wanted = None if network is None else network.corpus_root
        vocabulary = numbers["model.vocabulary"] if network is None else network.section("model")["vocabulary"]

        def check(manifest: Manifest) -> None:
            if wanted is not None and manifest.root != wanted:
                raise NodeError(
                    f"the network of {data_directory} trains on the corpus {wanted.hex()[:16]}, with these files "
                    f"it would be {manifest.root.hex()[:16]}: give exactly the network's files, "
                    "or choose another --data-dir"
                )

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("reading")

            def show(words: str, done: int, total: int) -> None:
                bar.update(task, description=words, completed=done, total=total)

            added = OwnCorpus(directory / "corpus").add(files, tokenizer, vocabulary, check, show)
    finally:
        directory.unlock()
    for twin in added.twins:
        click.echo(f"{twin} is there already: the same text counts once", err=True)
    _print(OwnCorpus(directory / "corpus"), added.manifest, as_json)
    if not as_json:
        click.echo(f"Start with: neuroshard --data-dir {data_directory} --profile {profile}")


def show(data_directory: Path, as_json: bool) -> None:
    """Print the own corpus of a data directory, running or not."""
    directory = DataDirectory(data_directory)
    directory.check_schema()
    own = OwnCorpus(directory / "corpus")
    manifest = own.manifest()
    if manifest is None:
        raise NodeError(f"{data_directory} has no text of your own: add some with neuroshard data add FILE")
    _print(own, manifest, as_json)


def _print(own: OwnCorpus, manifest: Manifest, as_json: bool) -> None:
    documents = [name for shard in manifest.shards for name in shard.documents]
    names = own.names()
    files: list[dict[str, Any]] = [
        {"sha256": digest, "name": names.get(digest, ""), "bytes": size} for digest, size in sizes(documents).items()
    ]
    content: dict[str, Any] = {
        "corpus_root": manifest.root.hex(),
        "tokenizer_sha256": manifest.tokenizer_sha256.hex(),
        "vocabulary": manifest.vocabulary,
        "documents": len(documents),
        "tokens": {split: manifest.token_count(split) for split in SPLITS},
        "files": files,
    }
    if as_json:
        click.echo(json.dumps(content))
        return
    for file in files:
        click.echo(f"{file['sha256'][:16]}  {file['bytes']:>12,} bytes  {file['name']}")
    tokens = content["tokens"]
    click.echo(
        f"Corpus {content['corpus_root'][:16]}: {len(files)} files in {len(documents)} documents; {tokens['train']:,} "
        f"tokens to train on, {tokens['validation']:,} held out; a vocabulary of {manifest.vocabulary}"
    )
