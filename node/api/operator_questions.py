"""What paths, queries and bodies of the network's numbers and of the operator may hold."""

from typing import Any

from marshmallow import ValidationError, fields

from node.api.fields import Question

WORD_CHARACTERS = 128


class SearchWord(fields.String):
    """A word that somebody typed or pasted; blanks around it do not count."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"minLength": 1, "maxLength": WORD_CHARACTERS, "pattern": r"\S"}, **kwargs)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        word = str(value).strip()
        if not 1 <= len(word) <= WORD_CHARACTERS or len(str(value)) > WORD_CHARACTERS:
            raise ValidationError(f"1 to {WORD_CHARACTERS} characters are wanted")
        return word


class Search(Question):
    q = SearchWord(required=True)
