"""Made-up requests to a node that makes blocks, for minutes: `python -m tests.node.api_fuzz --minutes 5 --seed 1`.

Every operation of the generated document, with and without the operator's token, with headers that no browser sends,
and bytes that are hardly HTTP. No answer may be a server error but 503, and all must have the documented form.
"""

import argparse
import asyncio
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chain.address import to_text
from node.api.document import openapi
from node.api.route import STREAM
from tests.node.lone_node import IDENTITY
from tests.node.served import WIDE, Served, serving

FORMS = [content_type_conformance, response_schema_conformance, status_code_conformance]
PATIENT = replace(WIDE, read_seconds=0.5)  # what is not whole by then is closed
BATCH = 30  # examples of an operation before the next one has its turn
RAW_BATCH = 30
NAMES = (
    *("Accept", "Accept-Encoding", "Authorization", "Cookie", "If-None-Match", "Origin", "Range", "Referer"),
    *("Sec-Fetch-Site", "TE", "Upgrade", "Via", "X-Forwarded-For", "X-HTTP-Method-Override"),
)
LINE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=200)
HEADERS = st.dictionaries(
    st.sampled_from(NAMES),
    st.one_of(LINE, st.sampled_from(("null", "bytes=0-18446744073709551616", "websocket", "Bearer " + "0" * 64))),
    max_size=4,
).map(lambda found: {name: value.strip().encode("latin-1") for name, value in found.items()})
METHODS = (b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"TRACE", b"PRI", b"get", b"\xff")
PARTS = (
    *(b"/v1/status", b"/v1/blocks/", b"/v1/search?q=", b"/..%2f..%2f", b"//", b"*", b"http://[::1/", b"/%00", b"/%"),
    *(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/9.9\r\n", b"\r\n", b"\n", b"\x00", b"Host: localhost\r\n"),
    *(b"Host: \xff\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n"),
    *(b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
    *(b"Content-Type: application/json\r\n", b'{"transaction": "', b"[" * 2_000, b"A" * 9_000),
)


def no_fault(_: Any, response: Any, __: Any) -> None:
    """A node may be busy; it may not stumble."""
    assert response.status_code < 500 or response.status_code == 503, (response.status_code, response.text[:500])


def operations() -> list[Any]:
    """All but the streams, which do not end."""
    found = [each.ok() for each in schemathesis.openapi.from_dict(openapi()).get_all_operations()]
    return [each for each in found if STREAM not in str(each.definition.raw["responses"].get("200"))]


def cases_of(operation: Any) -> Any:
    """What the document allows, and as often what it does not, where there is anything to be wrong about."""
    good = operation.as_strategy()
    if not (operation.path_parameters or operation.query or operation.body):
        return good
    return st.one_of(good, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))


def known_of(served: Served) -> dict[str, str]:
    """Names of things that are there: hardly any that are made up are."""
    store = served.node.store
    _, identity = next(store.transactions_of(IDENTITY.address))
    names = {"block": store.hash_at(3), "id": identity, "node": IDENTITY.node}
    return {"round": "2", "address": to_text(IDENTITY.address), **{name: each.hex() for name, each in names.items()}}


def try_operation(operation: Any, served: Served, number: int, seen: Counter[str]) -> None:
    """A batch of requests that fit the document more or less."""

    known = known_of(served)

    @seed(number)
    @settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases_of(operation), headers=HEADERS, is_operator=st.booleans(), is_known=st.booleans())
    def try_one(case: Any, headers: dict[str, Any], is_operator: bool, is_known: bool) -> None:
        if is_known:
            for name in set(case.path_parameters or {}) & set(known):
                case.path_parameters[name] = known[name]
        given_headers = {**headers, **(served.as_operator if is_operator else {})}
        answer = case.call(base_url=served.url, headers=given_headers, timeout=30)
        seen[f"{operation.method.upper()} {operation.path} {answer.status_code}"] += 1
        case.validate_response(answer, checks=[no_fault, *FORMS])

    try_one()


def try_bytes(served: Served, chance: random.Random, seen: Counter[str]) -> None:
    """Requests of odd parts. Whatever is answered is HTTP, and no fault of ours."""
    for _ in range(RAW_BATCH):
        parts = [chance.choice(METHODS), b" ", *(chance.choice(PARTS) for _ in range(chance.randrange(1, 12)))]
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as stream:
            try:
                stream.sendall(b"".join(parts) + b"\r\n\r\n")
                head = stream.recv(100)
            except ConnectionError:
                head = b""
        status = head.split(b" ")[1] if head.startswith(b"HTTP/") else b"closed"
        seen[f"bytes {status.decode(errors='replace')}"] += 1
        assert status in (b"closed", b"503") or not status.startswith(b"5"), (parts, head)


def try_for(served: Served, minutes: float, number: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    chance, end, every = random.Random(number), time.monotonic() + 60 * minutes, operations()
    while time.monotonic() < end:
        for operation in every:
            if time.monotonic() >= end:
                break
            served.api.desk.control.failures._buckets.clear()
            try_operation(operation, served, number, seen)
        try_bytes(served, chance, seen)
        number += 1
    return seen


async def fuzz(minutes: float, number: int) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder) / "home", PATIENT) as served, served.blocks():
            seen = await asyncio.to_thread(try_for, served, minutes, number)
            assert (await served.get("/v1/health"))["status"] == "ok"
            return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seen = asyncio.run(fuzz(options.minutes, options.seed))
    for name, count in sorted(seen.items()):
        print(f"{count:>7}  {name}")
    print(f"{sum(seen.values())} requests, seed {options.seed}: no server error", file=sys.stderr)


if __name__ == "__main__":
    main()
