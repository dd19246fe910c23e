"""Routes for operators and for programs that build on a node: the network in numbers, peers, settings."""

import json

from aiohttp import web

from node.api import network_schemas, operator_questions
from node.api.desk import Asked, Desk, encoded
from node.api.kept import LEDGER, WAITING
from node.api.network_answers import fees_of, layers_of, parameters_of
from node.api.orders import ORDERS
from node.api.route import Route, get
from node.api.search_answers import a_transaction, search


async def show_parameters(desk: Desk, _: Asked) -> web.StreamResponse:
    return encoded(json.dumps(parameters_of(desk.node.network)).encode())


async def show_fees(desk: Desk, _: Asked) -> web.StreamResponse:
    node = desk.node
    facts = node.facts
    told = fees_of(facts.tip.height, facts.ledger.base_fee, node.mempool, node.network.params)
    return encoded(json.dumps(told).encode())


async def show_layers(desk: Desk, _: Asked) -> web.StreamResponse:
    model = desk.node.learning.model
    return encoded(await desk.reads.encoded(lambda store: layers_of(store, model)))


async def show_found(desk: Desk, asked: Asked) -> web.StreamResponse:
    word: str = asked.fields["q"]
    told = await desk.reads.run(lambda store: search(store, word))
    with_waiting = waiting_of(desk, word)
    known = {each["path"] for each in told}
    told += [each for each in with_waiting if each["path"] not in known]
    return encoded(json.dumps({"found": told}).encode())


def waiting_of(desk: Desk, word: str) -> list[dict[str, str]]:
    """The transaction that waits under this whole id."""
    try:
        identity = bytes.fromhex(word)
    except ValueError:
        return []
    return [a_transaction(identity)] if desk.node.mempool.find(identity) is not None else []


OPERATOR_ROUTES: tuple[Route, ...] = (
    get(
        "/v1/parameters",
        "parameters",
        "The network: its name, its chain, and every number of its genesis.",
        show_parameters,
        keep=LEDGER,
        answer=network_schemas.Parameters,
    ),
    get(
        "/v1/fees",
        "fees",
        "What a transaction costs now, and what to offer for it.",
        show_fees,
        keep=WAITING,
        answer=network_schemas.Fees,
    ),
    get(
        "/v1/layers",
        "layers",
        "The parts of the model, and nodes that have lately shown that they hold them.",
        show_layers,
        keep=LEDGER,
        answer=network_schemas.Layers,
    ),
    get(
        "/v1/search",
        "search",
        "What a word may name: a block, a round, a transaction, a wallet, a node.",
        show_found,
        keep=WAITING,
        answer=network_schemas.FoundList,
        query=operator_questions.Search,
    ),
    *ORDERS,
)
