"""`neuroshard generate`: text from the newest model, whether or not a node is running."""

import json
from dataclasses import dataclass
from pathlib import Path

import click

from node.commands.opening import network_of
from node.corpus_choice import tokenizer_of
from node.data_directory import DataDirectory
from node.errors import NodeError
from node.model_store import ModelStore, load_base
from node.setting_kinds import shown
from node.template import Learning


@dataclass(frozen=True, slots=True)
class Choice:
    tokens: int
    temperature: float
    seed: int
    as_json: bool = False


def show(data_directory: Path, prompt: str, choice: Choice) -> None:
    """Print `prompt` and its continuation as it is made. Raises NodeError."""
    if not choice.temperature >= 0:
        raise NodeError(f"the temperature is {choice.temperature}: give a number from 0 to 5")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise NodeError(f"the prompt holds bytes that are no UTF-8: {shown(prompt)}") from error
    directory = DataDirectory(data_directory)
    network = network_of(directory)
    learning = Learning.of(network)
    newest = ModelStore(directory / "model", learning).newest()
    if newest is None:
        raise NodeError(f"{data_directory} has no model yet: let the node finish a round first")
    # torch takes a second to import: only here, when text is really wanted.
    try:
        from training.generate import generate
        from training.model import NeuroLLM, load_flat
        from training.tokens import Tokenizer
    except ImportError as error:
        raise NodeError(
            f"text is made with torch, which cannot be imported here ({error}): install the program again"
        ) from error

    model = NeuroLLM(learning.model)
    load_flat(model, load_base(newest, learning).state.weights)
    tokenizer = Tokenizer.load(tokenizer_of(network, data_directory))
    pieces = generate(model, tokenizer, prompt, choice.tokens, choice.temperature, choice.seed)
    if choice.as_json:
        click.echo(json.dumps({"prompt": prompt, "text": "".join(pieces), "model": newest.name}))
        return
    click.echo(prompt, nl=False)
    for piece in pieces:
        click.echo(piece, nl=False)
    click.echo()
