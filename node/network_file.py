"""The network file: of a data directory, or one that the user names. Start reading at `kept_network`."""

from dataclasses import fields
from pathlib import Path

from chain.errors import DecodeError, NeuroError
from chain.genesis import NETWORK_BYTES_MAXIMUM, NETWORK_PREFIX, Network, Params, parse_network
from node.errors import DataDirectoryError, NodeError, disk_advice
from node.template import Learning

OTHER_SECTIONS = (b"model", b"inner", b"outer")  # of a network's parameters, beside the ledger's


def kept_network(path: Path) -> Network:
    """The network file of a data directory. Raises DataDirectoryError."""
    content = read_network_file(path)
    if version := _version_of_other_rules(content):
        raise DataDirectoryError(
            f"the network in {path.parent} was made by {version}: start anew with another --data-dir, "
            "or use the version that made it"
        )
    try:
        network = parse_network(content)
        Learning.of(network)  # its numbers may be damaged too
        return network
    except NeuroError as error:
        raise DataDirectoryError(f"{path} is damaged ({error}): restore it from a backup") from error


def given_network(content: bytes, name: str) -> Network:
    """The network of a file that the user names. Raises NodeError or InvalidGenesis."""
    if version := _version_of_other_rules(content):
        raise NodeError(f"the network in {name} was made by {version}: ask for a new file, or use that version")
    return parse_network(content)


def _version_of_other_rules(content: bytes) -> str:
    """What made a whole network file whose ledger has other parameters than this program's; nothing for any other."""
    try:
        network = Network.decode(content[len(NETWORK_PREFIX) :])
    except DecodeError:
        return ""
    names = {parameter.name for parameter in network.parameters}
    wanted = {f"chain.{field.name}".encode() for field in fields(Params)}
    missing = sorted(wanted - names)
    unknown = sorted(name for name in names - wanted if name.split(b".")[0] not in OTHER_SECTIONS)
    # Rules are only ever added: a name that is missing and another that is unknown are a damaged one.
    if missing and not unknown:
        return f"an earlier version with other rules (it lacks {_some(missing)})"
    if unknown and not missing:
        return f"a later version with other rules (it has {_some(unknown)})"
    return ""


def _some(names: list[bytes]) -> str:
    """The first name, and how many there are."""
    first = ascii(names[0].decode("utf-8", "replace")).strip("'")
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"


def read_network_file(path: Path) -> bytes:
    """The bytes of a file, not more than a network may have and one. Raises NodeError."""
    try:
        with path.open("rb") as file:
            return file.read(NETWORK_BYTES_MAXIMUM + 1)
    except OSError as error:
        raise NodeError(f"cannot read {path}: {disk_advice(error)}") from error
