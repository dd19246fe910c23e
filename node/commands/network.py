"""`neuroshard network`: what a network is made of."""

import json
from pathlib import Path

import click

from chain.address import to_text
from node.commands.opening import network_of
from node.data_directory import DataDirectory


def show(data_directory: Path, as_json: bool) -> None:
    """Print the network of a data directory."""
    network = network_of(DataDirectory(data_directory))
    content = {
        "chain_id": network.chain_id.hex(),
        "name": network.name.decode("ascii", "replace"),
        "created_ms": network.created_ms,
        "model_seed": network.model_seed.hex(),
        "tokenizer_sha256": network.tokenizer_hash.hex(),
        "corpus_root": network.corpus_root.hex(),
        "start_model_root": network.start.model_root.hex(),
        "validators": [{"public_key": v.public_key.hex(), "payout": to_text(v.payout)} for v in network.validators],
        "parameters": {p.name.decode(): p.value for p in network.parameters},
    }
    if as_json:
        click.echo(json.dumps(content))
        return
    for name, value in content.items():
        if isinstance(value, dict):
            click.echo("\n".join(f"{key} = {number}" for key, number in value.items()))
        else:
            click.echo(f"{name}: {value}")
