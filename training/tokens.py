"""Text to tokens and back: byte-level BPE, so that every string has tokens and none is unknown.

Source: Radford et al. 2019 (GPT-2), section 2.2; the `tokenizers` library does the work.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as BpeModel
from tokenizers import decoders, models, pre_tokenizers, trainers

from training.errors import TokenizerError

END_OF_TEXT = "<|endoftext|>"
MAX_VOCABULARY = 65_536  # Tokens are stored in 16 bits.
DOCUMENTS_PER_CALL = 64  # Bounds the memory that one call to the library takes.


class Tokenizer:
    """A trained tokenizer, known by the SHA-256 of its file."""

    def __init__(self, file_bytes: bytes) -> None:
        """Parse the bytes of a tokenizer.json. Raises TokenizerError if they are none that this network can use."""
        try:
            self._model = BpeModel.from_str(file_bytes.decode("utf-8"))
        except Exception as error:  # The library raises bare Exception for a malformed file.
            raise TokenizerError(f"not a tokenizer file: {error}") from error
        end_of_text = self._model.token_to_id(END_OF_TEXT)
        if end_of_text is None:
            raise TokenizerError(f"the tokenizer has no {END_OF_TEXT} token")
        self.end_of_text: int = end_of_text
        self.vocabulary: int = self._model.get_vocab_size()
        if self.vocabulary > MAX_VOCABULARY:
            raise TokenizerError(f"{self.vocabulary} tokens do not fit 16 bits")
        # The marker is ours to place. Without this, a document that spells it could pretend to end.
        self._model.encode_special_tokens = True
        self.sha256 = sha256(file_bytes).digest()

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a tokenizer.json. Raises TokenizerError if it is missing or malformed."""
        try:
            file_bytes = path.read_bytes()
        except OSError as error:
            raise TokenizerError(f"cannot read the tokenizer {path}: {error}") from error
        return cls(file_bytes)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, no marker added."""
        ids: list[int] = self._model.encode(text, add_special_tokens=False).ids
        return ids

    def encode_documents(self, texts: Iterable[str]) -> NDArray[np.uint16]:
        """The tokens of all texts in a row, uint16 [N], each text closed by the end-of-text token."""
        pieces: list[NDArray[np.uint16]] = [np.empty(0, dtype="<u2")]
        for batch in _batches(texts, DOCUMENTS_PER_CALL):
            for encoding in self._model.encode_batch_fast(batch, add_special_tokens=False):
                pieces.append(np.array([*encoding.ids, self.end_of_text], dtype="<u2"))
        return np.concatenate(pieces)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens. Bytes that are no UTF-8 (a character cut in two) become U+FFFD."""
        text: str = self._model.decode(list(tokens), skip_special_tokens=True)
        return text


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> bytes:
    """The bytes of a tokenizer.json trained on `texts`: the same texts in the same order give the same bytes."""
    model = BpeModel(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    file_text: str = model.to_str()
    return file_text.encode("utf-8") + b"\n"


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """The texts in lists of at most `size`."""
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
