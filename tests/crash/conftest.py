"""The corpus is made into tokens once for all crash tests: it takes seconds, and is not what they are about."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.corpus_choice import shipped_manifest, tokenizer_path
from tests.crash.lives import Lives
from training.corpus import Corpus
from training.sources import folder_source, package_folder


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    Corpus.open(shipped_manifest(), folder_source(package_folder()), tokenizer_path(), folder)
    return folder


@pytest.fixture
def lives(tmp_path: Path, tokens: Path) -> Iterator[Lives]:
    """A node with a cheap wallet and ready tokens, not started yet; dead afterwards."""
    lives = Lives(tmp_path).with_cheap_wallet().with_tokens(tokens)
    yield lives
    if lives.process is not None:
        lives.kill_all()
