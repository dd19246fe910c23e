"""Peers that the user named: whether they can be reached, and whether they are of his network."""

import asyncio
import os
import socket
from collections.abc import Sequence

from node.doctor.finding import Finding, Place, ok, plain, warning

SECONDS = 5.0
OUTCOMES_SHOWN = 4


def peers(place: Place) -> Finding:
    """Dial each, and shake hands as a stranger if the network is known."""
    if not place.peers:
        return ok("No peers were named: give --peer HOST:PORT to have them dialled.")
    try:
        from node.setting_kinds import endpoint_text
    except ImportError as error:
        return warning(f"Peers were not dialled: {error.name} is missing.", "install the program again")
    chain_id, why = _chain_id(place)
    addresses = [endpoint_text(*peer) for peer in place.peers]
    if chain_id is None:
        faults = {address: _unreachable(peer) for address, peer in zip(addresses, place.peers, strict=True)}
        done = f"answered the port; whether they are of your network was not asked ({why})"
    else:
        faults = asyncio.run(_shaken(chain_id, addresses))
        done = "shook hands"
    return judged(faults, done)


def judged(faults: dict[str, str | None], done: str) -> Finding:
    bad = [f"{address}: {plain(fault)}" for address, fault in faults.items() if fault is not None]
    words = f"{len(faults) - len(bad)} of {len(faults)} named peers {done}"
    if not bad:
        return ok(f"{words}.")
    more = f" and {len(bad) - OUTCOMES_SHOWN} more" if len(bad) > OUTCOMES_SHOWN else ""
    advice = "check the address, that node's --listen, and firewalls in between; the node itself goes on trying"
    return warning(f"{words}; {'; '.join(bad[:OUTCOMES_SHOWN])}{more}.", advice)


def _chain_id(place: Place) -> tuple[bytes | None, str]:
    """Of the given file or the data directory; or why it is unknown."""
    try:
        from chain.errors import NeuroError
        from node.commands.opening import network_of
        from node.data_directory import DataDirectory
        from node.network_file import given_network, read_network_file
    except ImportError as error:
        return None, f"{error.name} is missing"
    try:
        if place.network is not None:
            return given_network(read_network_file(place.network), str(place.network)).chain_id, ""
        return network_of(DataDirectory(place.directory)).chain_id, ""
    except NeuroError as error:
        return None, plain(error) if place.network is not None else "give the network's file with --network"


def _unreachable(peer: tuple[str, int]) -> str | None:
    """Why a port does not open; None if it does."""
    try:
        socket.create_connection(peer, SECONDS).close()
    except OSError as error:
        return error.strerror or str(error) or "no answer"
    return None


async def _shaken(chain_id: bytes, addresses: Sequence[str]) -> dict[str, str | None]:
    """What went wrong with each, dialled all at once under a key that is forgotten afterwards."""
    from chain.crypto import ecdsa
    from network.connection import Shared
    from network.errors import NetworkError
    from network.handshake import Endpoint, Introduction
    from network.peer import NodeKey
    from network.transport import Dialer

    secret = os.urandom(32)
    key = NodeKey(ecdsa.public_key(secret), lambda digest: ecdsa.sign(secret, digest), ecdsa.verify)
    dialer = Dialer(Endpoint(chain_id, key, lambda: Introduction(0, "", b"", "neuroshard doctor"), Shared()), SECONDS)

    async def fault_of(address: str) -> str | None:
        try:
            connection = await dialer.dial(address)
        except NetworkError as error:
            return str(error).removeprefix(f"{address}: ")
        await connection.close("the doctor has seen enough")
        return None

    try:
        return dict(zip(addresses, await asyncio.gather(*map(fault_of, addresses)), strict=True))
    finally:
        await dialer.close()
