"""Rebuild data/tokenizer.json and data/manifest.json from the embedded corpus: `python -m training.build data`.

The tokenizer sees training documents only. Both files are inputs of genesis: other bytes, another network.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from training.manifest import build_manifest, decode_document, is_held_out, write_manifest
from training.sources import folder_documents, package_folder
from training.tokens import Tokenizer, train_tokenizer

VOCABULARY = 4096


def build(documents: Iterable[tuple[str, bytes]], target: Path, vocabulary: int = VOCABULARY) -> bytes:
    """Write tokenizer.json and manifest.json into `target`; return the manifest's root."""
    kept = list(documents)
    texts = (decode_document(name, document) for name, document in kept if not is_held_out(document))
    tokenizer_bytes = train_tokenizer(texts, vocabulary)
    manifest = build_manifest(kept, Tokenizer(tokenizer_bytes))
    target.mkdir(parents=True, exist_ok=True)
    (target / "tokenizer.json").write_bytes(tokenizer_bytes)
    (target / "manifest.json").write_text(write_manifest(manifest), encoding="utf-8")
    return manifest.root


def main() -> None:
    """Build from the embedded corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    root = build(folder_documents(package_folder()), parser.parse_args().target)
    print(f"corpus root {root.hex()}")


if __name__ == "__main__":
    main()
