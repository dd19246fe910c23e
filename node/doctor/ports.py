"""Where API and peers would find the node, and whether one that runs answers."""

import errno
import socket
from collections.abc import Mapping
from typing import Any

from node.data_directory import read_json
from node.doctor.directory import is_running
from node.doctor.finding import Finding, Place, ok, plain, problem, warning
from node.setting_kinds import endpoint_text, split_address
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


def answers(place: Place) -> Finding:
    """How the node that runs here is, in its own words."""
    if not is_running(place.directory):
        return ok("No node is running here, so none was asked.")
    try:
        from node.commands.status import ask
        from node.errors import NodeError
    except ImportError as error:
        return warning(f"The node that runs here was not asked: {error.name} is missing.", "install the program again")
    try:
        health, status = ask(place.directory, "/v1/health"), ask(place.directory)
    except NodeError as error:
        return warning(
            f"The node that runs here does not answer: {error}.", "it may be starting: ask again in a minute"
        )
    return judged_health(health, status)


def judged_health(health: Mapping[str, Any], status: Mapping[str, Any]) -> Finding:
    state, height = plain(health.get("status", "unknown")), plain(health.get("height", "unknown"))
    words = f"The node that runs here is {state}, at height {height} with {plain(status.get('peers', 0))} peers."
    troubles = [health.get("trainer_failure"), health.get("model_trouble"), status.get("sync_refusal")]
    told = "; ".join(plain(each) for each in troubles if each)
    if health.get("disk_low"):
        told = "; ".join(filter(None, ["its disk is nearly full", told]))
    if state == "ok" and not told:
        return ok(words)
    advice = "see logs/node.log in the data directory; it names the reason"
    return warning(f"{words} {told[:1].upper()}{told[1:]}." if told else words, advice)


def listen_port(place: Place) -> Finding:
    """Where other nodes would connect."""
    if place.listen is None:
        return ok("No port for peers was asked for: a node without --listen only dials out.")
    host, port = place.listen
    address = endpoint_text(host, port)
    reason = why_taken(address)
    if reason is None:
        return ok(f"{address} is free for peers.")
    if is_running(place.directory):
        return ok(f"{address} is in use; a node is running here.")
    return problem(f"{address} cannot be used for peers ({reason}).", "choose another with --listen HOST:PORT")


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
