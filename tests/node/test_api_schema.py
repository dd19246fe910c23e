"""The generated document, the table of routes, the documentation and the answers say the same."""

import asyncio
import re
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from node.api.desk import LOSSES_SHOWN
from node.api.document import openapi
from node.api.events import CHANGES_TOLD, HEARTBEAT_SECONDS, KINDS, PROOFS_TOLD, QUEUE_EVENTS
from node.api.fields import LIMIT_MAXIMUM, LIMIT_USUAL
from node.api.limits import BODY_BYTES_MAXIMUM, Limits
from node.api.operator import FAILURES
from node.api.round_nodes import NODES_TOLD, RESULTS_TOLD
from node.api.route import JSON, STREAM
from node.api.routes import ROUTES
from node.api.server import HEAD_BYTES_MAXIMUM
from node.mempool import Caps
from node.mempool_checks import NONCE_WINDOW
from node.round_weights import ROUNDS_KEPT
from tests.node.lone_node import IDENTITY
from tests.node.served import Served, serving

ROOT = Path(__file__).parents[2]
EXAMPLES = 12
QUERIES = {"search": "?q=3"}  # of routes that cannot be asked without one
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


def test_the_document_has_every_route_of_the_table_and_no_other() -> None:
    told = {(method.upper(), path) for path, found in openapi()["paths"].items() for method in found}
    assert told == {(route.method, route.path) for route in ROUTES}
    assert len({route.name for route in ROUTES}) == len(ROUTES)


def test_the_documentation_has_every_route_and_every_event() -> None:
    text = (ROOT / "docs/api.md").read_text()
    routes = re.findall(r"^\| `(GET|POST) (/[^`?]*)[^`]*` \|", text, re.MULTILINE)
    assert routes == [(route.method, route.path) for route in ROUTES]
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(KINDS)


def test_the_numbers_of_the_documentation_are_those_of_the_code() -> None:
    text, limits = " ".join((ROOT / "docs/api.md").read_text().split()), Limits()
    for words in (
        f"{limits.burst} requests at once and {limits.requests_per_second} a second",
        f"{limits.at_once} requests are answered at a time",
        f"{limits.streams} streams, {limits.streams_of_address} of them of one address, and {limits.connections} "
        "connections are open at most. Of the requests and connections one address may have half",
        f"guessed {FAILURES.burst} times and more than once in {1 / FAILURES.requests_per_second:g} s",
        f"{HEAD_BYTES_MAXIMUM:,} bytes a line and must be there within {limits.read_seconds} s",
        f"at most {BODY_BYTES_MAXIMUM:,} bytes",
        f"`limit` is 1 to {LIMIT_MAXIMUM}, {LIMIT_USUAL} if not given",
        f"at most {NONCE_WINDOW} wait",
        f"{Caps().transactions:,} transactions and {Caps().bytes // 1_000_000} MB wait at most",
        f"{Caps().registrations} registrations and {Caps().evidence} pieces of evidence",
        f"After {Caps().time_to_live_ms // 3_600_000} hours",
        f"A comment every {HEARTBEAT_SECONDS:g} s",
        f"leaves {QUEUE_EVENTS} events unread",
        f"{PROOFS_TOLD} of them are told",
        f"{CHANGES_TOLD} of these changes are told",
        f"at most {LOSSES_SHOWN} points",
        f"at most {NODES_TOLD} beside those that committed",
        f"the {RESULTS_TOLD} signed results with the most power",
        f"for at most {ROUNDS_KEPT} rounds",
    ):
        assert words in text, words


def test_every_field_of_a_question_and_an_answer_has_a_form() -> None:
    document = openapi()
    for name, schema in document["components"]["schemas"].items():
        assert schema["additionalProperties"] is False, name
        for field, form in schema["properties"].items():
            assert "type" in form or "$ref" in form or "anyOf" in form or "allOf" in form, (name, field)


async def test_made_up_requests_get_no_server_error_and_answers_of_the_documented_form(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        await asyncio.to_thread(try_everything, served)


def try_everything(served: Served) -> None:
    schema = schemathesis.openapi.from_dict(openapi())
    tried = []
    for found in schema.get_all_operations():
        operation: Any = found.ok()
        if STREAM in str(operation.definition.raw["responses"].get("200")):
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def try_one(case: Any) -> None:
            case.call_and_validate(base_url=served.url, checks=CHECKS, headers=served.as_operator)

        try_one()
        tried.append((operation.method.upper(), operation.path))
    assert tried == [(route.method, route.path) for route in ROUTES if route.produces != STREAM]


async def test_the_answers_of_a_ledger_with_a_past_have_the_documented_form(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        block = (await served.get("/v1/blocks/3"))["hash"]
        own = served.node.address_text
        [newest] = (await served.get(f"/v1/accounts/{own}/transactions?limit=1"))["transactions"]
        names = {"block": block, "id": newest["id"], "address": own, "round": "2", "node": IDENTITY.node.hex()}
        seen = 0
        for route in ROUTES:
            if route.answer is not None and route.method == "GET":
                path = re.sub(r"{(\w+)}", lambda found: names[found[1]], route.path)
                reply = await served.ask(path + QUERIES.get(route.name, ""), headers=served.as_operator)
                assert reply.status == 200, reply.body
                answer = reply.json
                assert route.answer().validate(answer) == {}, route.path
                seen += 1
        for height in range(1, served.node.store.height + 1):
            by_path = next(route for route in ROUTES if route.name == "block")
            assert by_path.answer is not None
            assert by_path.answer().validate(await served.get(f"/v1/blocks/{height}")) == {}
        assert seen == sum(route.produces == JSON and route.method == "GET" for route in ROUTES) - 1
        assert newest["sender"] == own
        assert served.node.home.identity == IDENTITY
