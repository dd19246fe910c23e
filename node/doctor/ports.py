"""Where the API would listen."""

import errno
import socket

from node.data_directory import read_json
from node.doctor.directory import is_running
from node.doctor.finding import Finding, Place, ok, problem, warning
from node.setting_kinds import split_address
from node.settings import API_PORTS_TRIED, DEFAULT_API


def api_port(place: Place) -> Finding:
    """Free, ours, or somebody else's."""
    address = place.api or DEFAULT_API
    reason = why_taken(address)
    if reason is None:
        return ok(f"{address} is free for the API.")
    note = read_json(place.directory / "api.json") or {}
    if note.get("address") == address and is_running(place.directory):
        return ok(f"The node that runs here serves its API at {address}.")
    if place.api is None:
        host, port = split_address(DEFAULT_API)
        if all(why_taken(f"{host}:{port + step}") for step in range(API_PORTS_TRIED)):
            return problem(f"{API_PORTS_TRIED} ports from {address} on are taken.", "choose one with --api HOST:PORT")
        return warning(
            f"{address} cannot be used ({reason}).", "the next free port will be taken: see `neuroshard status`"
        )
    return problem(f"{address} cannot be used ({reason}).", "choose another with --api HOST:PORT")


def why_taken(address: str) -> str | None:
    """Why nobody can listen there now; None if one can."""
    host, port = split_address(address)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family[0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(family[4])
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "another program listens there"
        return error.strerror or str(error)
    return None
