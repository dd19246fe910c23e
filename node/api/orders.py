"""What an operator can tell a node: whom to meet, how much to log, when to end. Each handler is behind the token."""

import json

from aiohttp import web
from marshmallow import Schema

from network.errors import BadAddress, Busy
from network.switch import Switch
from node.api import operator_questions, operator_schemas, schemas
from node.api.desk import Asked, Desk, encoded
from node.api.faults import Refusal
from node.api.peer_answers import ban_fields
from node.api.route import Handler, Route
from node.logs import log_of
from node.setting_kinds import BadValue, Endpoint

LOG = log_of("operator")
WORDS = "by the operator of this node"


async def show_settings(desk: Desk, _: Asked) -> web.StreamResponse:
    control = desk.control
    rows = [{"name": name, **row} for name, row in control.settings.items()]
    return encoded(json.dumps({"settings": rows, "log_level": control.log_level()}).encode())


async def connect(desk: Desk, asked: Asked) -> web.StreamResponse:
    switch = _switch(desk)
    wanted = (await desk.sent(asked.request, operator_questions.PeerAddress))["address"]
    try:
        Endpoint().check(wanted, desk.node.home.directory.root)
        switch.connect(wanted)
    except (BadValue, BadAddress) as error:
        raise Refusal(400, str(error), faults={"address": str(error)}) from error
    except Busy as error:
        raise Refusal(503, f"{error}: try again soon", retry_after_seconds=1) from error
    return _done(f"{wanted} is dialled once: see /v1/peers", 202)


async def disconnect(desk: Desk, asked: Asked) -> web.StreamResponse:
    switch, key = _switch(desk), await _key(desk, asked)
    if not switch.disconnect(key, f"disconnected {WORDS}"):
        raise Refusal(404, "no peer of this key is connected: see /v1/peers")
    return _done("the peer is disconnected; it may come back")


async def ban(desk: Desk, asked: Asked) -> web.StreamResponse:
    switch, key = _switch(desk), await _key(desk, asked)
    told = switch.ban(key, f"banned {WORDS}")
    LOG.info("peer banned", key=key)
    return encoded(json.dumps(ban_fields(told)).encode())


async def lift(desk: Desk, asked: Asked) -> web.StreamResponse:
    switch, key = _switch(desk), await _key(desk, asked)
    if not switch.lift(key):
        raise Refusal(404, "no peer of this key is banned: see /v1/peers")
    LOG.info("ban lifted", key=key)
    return _done("the ban is lifted, and what led to it is forgotten")


async def set_log_level(desk: Desk, asked: Asked) -> web.StreamResponse:
    level = (await desk.sent(asked.request, operator_questions.Level))["level"]
    desk.control.set_log_level(level)
    LOG.info("log level changed", level=level)
    return _done(f"the log is written from the level {level} on, until the node ends")


async def stop(desk: Desk, asked: Asked) -> web.StreamResponse:
    await desk.sent(asked.request, operator_questions.NoBody)
    LOG.info("asked to stop")
    desk.control.stop()
    return _done("the node stops", 202)


async def _key(desk: Desk, asked: Asked) -> bytes:
    return bytes.fromhex((await desk.sent(asked.request, operator_questions.PeerKey))["key"])


def _switch(desk: Desk) -> Switch:
    membership = desk.node.membership
    if membership is None or membership.switch is None:
        raise Refusal(409, "this node meets nobody: start it with --listen or --peer", "no_network")
    return membership.switch


def _done(words: str, status: int = 200) -> web.Response:
    return encoded(json.dumps({"done": words}).encode(), status)


def order(name: str, summary: str, handler: Handler, body: type[Schema], **more: object) -> Route:
    """A POST behind the token, with a JSON object as its body."""
    path = f"/v1/operator/{name.replace('_', '-')}"
    options = {"answer": operator_schemas.Done, "refusals": (408, 409, 413, 415), **more}
    return Route("POST", path, name, summary, handler, body=body, is_operators=True, **options)  # type: ignore[arg-type]


ORDERS: tuple[Route, ...] = (
    Route(
        "GET",
        "/v1/operator/settings",
        "operator_settings",
        "Every setting in effect, and who said it.",
        show_settings,
        answer=operator_schemas.SettingsInEffect,
        is_operators=True,
    ),
    order("connect", "Dial an address once.", connect, operator_questions.PeerAddress, successes=(202,)),
    order(
        "disconnect",
        "Part with a peer, which may come back.",
        disconnect,
        operator_questions.PeerKey,
        refusals=(404, 408, 409, 413, 415),
    ),
    order("ban", "Shut a peer out.", ban, operator_questions.PeerKey, answer=schemas.Ban),
    order("lift", "End a ban.", lift, operator_questions.PeerKey, refusals=(404, 408, 409, 413, 415)),
    order("log_level", "Write more or less to the log.", set_log_level, operator_questions.Level),
    order("stop", "End the node as Ctrl-C does.", stop, operator_questions.NoBody, successes=(202,)),
)
