"""The corpus: pinned by hash, tokenised once, never trained on if wrong."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import corpus as corpus_module
from training.build import build
from training.corpus import Corpus, cache_path
from training.errors import CorpusError, TokenizerError
from training.manifest import build_manifest, is_held_out, read_manifest, write_manifest
from training.sources import (
    file_documents,
    folder_documents,
    folder_source,
    package_folder,
    path_source,
    shipped_file,
)
from training.tags import tagged
from training.tokens import Tokenizer


@pytest.fixture
def texts(tmp_path):
    """A folder of 60 small texts and their tokenizer and manifest beside it."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for index in range(60):
        (folder / f"{index:02d}.txt").write_text(
            f"Report {index}: the union is strong, says the {index}th writer. € \r\n"
        )
    build(folder_documents(folder), tmp_path, 300)
    return folder


def opened(texts, cache="cache", source=None):
    base = texts.parent
    manifest = read_manifest((base / "manifest.json").read_text())
    return Corpus.open(manifest, source or folder_source(texts), base / "tokenizer.json", base / cache)


def refuse_to_read(name):
    raise AssertionError(f"{name} was read although the cache is right")


def test_the_tokens_are_those_of_the_documents_of_each_split(texts):
    corpus = opened(texts)
    tokenizer = Tokenizer.load(texts.parent / "tokenizer.json")
    for tokens, held in ((corpus.train, False), (corpus.validation, True)):
        wanted = []
        for _, document in folder_documents(texts):
            if is_held_out(document) is held:
                wanted += [*tokenizer.encode(document.decode()), tokenizer.end_of_text]
        assert tokens.tolist() == wanted and tokens.dtype == np.uint16 and len(wanted) > 0


def test_a_second_start_reads_no_text(texts):
    first = opened(texts)
    second = opened(texts, source=refuse_to_read)
    assert np.array_equal(first.train, second.train) and np.array_equal(first.validation, second.validation)


def test_cached_tokens_cannot_be_written_to(texts):
    with pytest.raises(ValueError, match="read-only"):
        opened(texts).train[0] = 1


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("harm", ["flip", "shorten", "lengthen", "remove"])
def test_a_wrong_cache_is_rebuilt(texts, split, harm):
    right = opened(texts)
    path = cache_path(right.manifest.root, split, texts.parent / "cache")
    content = path.read_bytes()
    wanted = np.frombuffer(content, dtype="<u2")
    path.unlink()
    if harm != "remove":
        path.write_bytes(
            {"flip": bytes([content[0] ^ 1]) + content[1:], "shorten": content[:-2]}.get(harm, content + b"\0\0")
        )
    assert np.array_equal(getattr(opened(texts), split), wanted)
    assert path.read_bytes() == content


def test_no_partial_file_is_left_when_writing_fails(texts, monkeypatch):
    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(corpus_module.os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        opened(texts)
    assert list((texts.parent / "cache").iterdir()) == []


def test_wrong_text_is_refused_with_the_shard_both_hashes_and_the_remedy(texts):
    path = texts / "07.txt"
    path.write_bytes(path.read_bytes().replace(b"strong", b"strung"))
    with pytest.raises(CorpusError) as refusal:
        opened(texts)
    manifest = read_manifest((texts.parent / "manifest.json").read_text())
    [shard] = [shard for shard in manifest.shards if "07.txt" in shard.documents]
    found = sha256(b"".join((texts / name).read_bytes() for name in shard.documents)).hexdigest()
    for part in (shard.name, shard.text_sha256.hex(), found, "reinstall"):
        assert part in str(refusal.value)
    assert not (texts.parent / "cache").exists()


def test_a_missing_text_is_refused_by_name(texts):
    (texts / "07.txt").unlink()
    with pytest.raises(CorpusError, match=r"07\.txt"):
        opened(texts)


def test_a_byte_moved_from_one_document_to_the_next_is_refused(texts):
    """The shard's bytes in a row are the same; its tokens are not."""
    one, two = texts / "07.txt", texts / "08.txt"
    moved = one.read_bytes()
    one.write_bytes(moved[:-1])
    two.write_bytes(moved[-1:] + two.read_bytes())
    with pytest.raises(CorpusError, match=r"tokens of shard"):
        opened(texts)


def test_another_tokenizer_is_refused(texts):
    build([("a", b"quite other words")], texts.parent / "other", 260)
    manifest = read_manifest((texts.parent / "manifest.json").read_text())
    with pytest.raises(CorpusError, match="reinstall"):
        Corpus.open(manifest, folder_source(texts), texts.parent / "other" / "tokenizer.json", texts.parent / "cache")


def test_a_manifest_cannot_name_files_outside_its_folder(texts):
    with pytest.raises(CorpusError, match="no file name"):
        folder_source(texts)("../manifest.json")


@pytest.mark.parametrize("change", ["tokens", "text_bytes", "text_sha256", "token_sha256", "split", "order", "root"])
def test_the_root_covers_every_number_of_the_manifest(texts, change):
    record = json.loads((texts.parent / "manifest.json").read_text())
    shard = record["shards"][0]
    if change == "order":
        record["shards"].reverse()
    elif change == "root":
        record["root"] = "00" * 32
    elif change == "split":
        shard["split"] = "validation" if shard["split"] == "train" else "train"
    else:
        shard[change] = "00" * 32 if change.endswith("sha256") else shard[change] + 1
    with pytest.raises(CorpusError, match="root"):
        read_manifest(json.dumps(record))


@given(st.text(max_size=60) | st.recursive(st.integers() | st.text(max_size=3), st.lists, max_leaves=5).map(json.dumps))
def test_no_bytes_make_the_manifest_reader_fail_otherwise(text):
    with pytest.raises(CorpusError):
        read_manifest(text)


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"shards": [{}]}, {"shards": 5}, {"tokenizer_sha256": "00"}, {"vocabulary": "x"}]
)
def test_a_malformed_manifest_is_refused(texts, change):
    record = json.loads((texts.parent / "manifest.json").read_text())
    with pytest.raises(CorpusError):
        read_manifest(json.dumps({**record, **change}))


def test_a_written_manifest_reads_as_itself(texts):
    manifest = read_manifest((texts.parent / "manifest.json").read_text())
    assert read_manifest(write_manifest(manifest)) == manifest


def test_documents_are_packed_into_shards_of_a_mebibyte_and_never_cut(texts):
    tokenizer = Tokenizer.load(texts.parent / "tokenizer.json")
    documents = [(f"d{i}", f"{i} ".encode() + b"word " * 100_000) for i in range(8)]
    documents = [(name, text) for name, text in documents if not is_held_out(text)][:5]
    shards = build_manifest(documents, tokenizer).shards
    assert [len(shard.documents) for shard in shards] == [3, 2]


def test_a_document_is_held_out_below_thirteen_of_two_hundred_and_fifty_six():
    first_bytes = {}
    for index in range(2000):
        document = str(index).encode()
        first_bytes.setdefault(tagged("split", document)[0], document)
    assert is_held_out(first_bytes[12]) and not is_held_out(first_bytes[13])


def test_an_operators_own_files_make_a_corpus(texts):
    paths = sorted(texts.iterdir(), reverse=True)
    tokenizer = Tokenizer.load(texts.parent / "tokenizer.json")
    manifest = build_manifest(file_documents(paths), tokenizer)
    corpus = Corpus.open(manifest, path_source(), texts.parent / "tokenizer.json", texts.parent / "own")
    assert len(corpus.train) == manifest.token_count("train") > 0
    assert manifest.shards[0].documents[0] == str(paths[0])


def test_a_file_that_is_no_text_is_refused_by_name(texts):
    tokenizer = Tokenizer.load(texts.parent / "tokenizer.json")
    with pytest.raises(CorpusError, match=r"photo.jpg is not UTF-8"):
        build_manifest([("photo.jpg", b"\xff\xd8\xff")], tokenizer)


def test_text_that_spells_the_end_marker_does_not_end_a_document(texts):
    tokenizer = Tokenizer.load(texts.parent / "tokenizer.json")
    tokens = tokenizer.encode_documents(["a<|endoftext|>b"])
    assert tokens.tolist().count(tokenizer.end_of_text) == 1
    assert tokenizer.decode(tokens[:-1].tolist()) == "a<|endoftext|>b"


@given(st.text(max_size=50))
def test_every_text_survives_the_tokenizer(text):
    tokenizer = Tokenizer.load(shipped_file("tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"version": "1.0"}'])
def test_a_malformed_tokenizer_is_refused(content):
    with pytest.raises(TokenizerError):
        Tokenizer(content)


def test_a_missing_tokenizer_or_package_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(TokenizerError, match="cannot read"):
        Tokenizer.load(tmp_path / "tokenizer.json")
    with pytest.raises(CorpusError, match="pip install"):
        package_folder("no_such_package_of_texts")


def test_the_shipped_manifest_and_tokenizer_belong_together_and_to_the_package():
    manifest = read_manifest(shipped_file("manifest.json").read_text())
    tokenizer = Tokenizer.load(shipped_file("tokenizer.json"))
    assert (manifest.tokenizer_sha256, manifest.vocabulary) == (tokenizer.sha256, tokenizer.vocabulary)
    read = folder_source(package_folder())
    for shard in manifest.shards:
        documents = [read(name) for name in shard.documents]
        assert sha256(b"".join(documents)).digest() == shard.text_sha256
        assert {is_held_out(document) for document in documents} == {shard.split == "validation"}
    listed = sorted(name for shard in manifest.shards for name in shard.documents)
    assert listed == [path.name for path in sorted(Path(package_folder()).glob("*.txt"))]
