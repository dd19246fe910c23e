"""Write the corpus as two .npy files that the lab can read where only torch and numpy are.

.venv/bin/python -m bench.lab.export build/lab
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.networks import lone_validator
from node.corpus_choice import open_corpus
from node.template import create_network, read_template, template_path


def export(folder: Path) -> None:
    """Write train.npy and validation.npy, uint16 [N], into `folder`."""
    network = create_network(read_template(template_path(), "lab"), "bench", 0, (lone_validator(),))
    corpus = open_corpus(network, Path(tempfile.gettempdir()) / "neuroshard-bench", lambda done, total: None)
    folder.mkdir(parents=True, exist_ok=True)
    for split, tokens in (("train", corpus.train), ("validation", corpus.validation)):
        np.save(folder / f"{split}.npy", np.asarray(tokens, dtype=np.uint16))
        print(f"{folder}/{split}.npy: {len(tokens)} tokens")


if __name__ == "__main__":
    export(Path(sys.argv[1] if len(sys.argv) > 1 else "build/lab"))
