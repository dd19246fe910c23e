"""The peers of a node and who is banned, as JSON objects."""

from typing import Protocol

from network.peer import ROLE_NAMES
from network.scores import Ban
from network.switch_config import PeerReport
from node.api.block_answers import Json

BANS_SHOWN = 100


class Switchboard(Protocol):
    """What knows of peers: `network.switch.Switch`."""

    def report(self) -> list[PeerReport]: ...

    def bans(self) -> list[Ban]: ...


def peers_of(switch: Switchboard | None, with_addresses: bool = True) -> Json:
    """All peers, oldest first, and the bans that last longest. A node without a network has neither."""
    if switch is None:
        return {"peers": [], "bans": [], "banned": 0}
    bans = switch.bans()
    left_out = {} if with_addresses else {"address": "", "listen": ""}
    left_out_of_bans = {} if with_addresses else {"address": "", "host": None}
    return {
        "peers": [peer_fields(report) | left_out for report in switch.report()],
        "bans": [ban_fields(ban) | left_out_of_bans for ban in bans[:BANS_SHOWN]],
        "banned": len(bans),
    }


def peer_fields(report: PeerReport) -> Json:
    peer, connection = report.peer, report.connection
    return {
        "key": peer.key.hex(),
        "address": peer.address,
        "outbound": peer.outbound,
        "listen": peer.listen,
        "agent": peer.agent,
        "roles": [name for bit, name in ROLE_NAMES.items() if peer.roles & bit],
        "validator": report.is_validator,
        "named_by_user": report.is_seed,
        "score": report.score,
        "reasons": list(report.reasons),
        "connected_seconds": int(connection.open_seconds),
        "silent_seconds": int(connection.silent_seconds),
        "messages_in": sum(connection.messages_in.values()),
        "messages_out": sum(connection.messages_out.values()),
        "bytes_in": sum(connection.bytes_in.values()),
        "bytes_out": sum(connection.bytes_out.values()),
        "dropped_in": connection.dropped_in,
        "dropped_out": connection.dropped_out,
        "queued_bytes": connection.queued_bytes,
    }


def ban_fields(ban: Ban) -> Json:
    return {
        "key": ban.key.hex(),
        "address": ban.address,
        "host": ban.host or None,
        "remaining_seconds": ban.remaining_ms // 1_000,
        "count": ban.count,
        "reasons": list(ban.reasons),
    }
