"""Answers of some size go out packed, to whoever takes that and to nobody else."""

import asyncio
import gzip
import http.client
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from node.api.server import PACKED_FROM
from tests.node.served import Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
LARGE, SMALL = ("/openapi.json", "/v1/blocks", "/v1/parameters"), ("/v1/health", "/v1/nothing")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A node that does not make blocks."""
    async with serving(tmp_path_factory.mktemp("packed") / "home") as found:
        yield found


async def sent(served: Served, path: str, accepts: str | None) -> tuple[dict[str, str], bytes]:
    """Headers and body as they go over the wire."""
    asked = f"GET {path} HTTP/1.1\r\nHost: {served.address}\r\nConnection: close\r\n"
    asked += "" if accepts is None else f"Accept-Encoding: {accepts}\r\n"
    head, _, body = (await served.raw(asked.encode() + b"\r\n")).partition(b"\r\n\r\n")
    lines = (line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    headers = {name.lower(): value for name, value in lines}
    assert len(body) == int(headers["content-length"])
    return headers, body


@pytest.mark.parametrize("path", [*LARGE, *SMALL])
async def test_an_answer_is_packed_from_a_size_on_if_it_is_taken_so(served: Served, path: str) -> None:
    plain, content = await sent(served, path, None)
    assert "content-encoding" not in plain and plain["vary"] == "Accept-Encoding"
    assert (len(content) >= PACKED_FROM) == (path in LARGE)
    assert (await sent(served, path, "identity"))[1] == content
    headers, body = await sent(served, path, "br, GZIP")
    assert headers["vary"] == "Accept-Encoding"
    if path in SMALL:
        assert "content-encoding" not in headers and body == content
        return
    assert headers["content-encoding"] == "gzip" and gzip.decompress(body) == content
    assert len(body) < len(content) / 2


async def test_the_stream_of_events_is_not_packed(served: Served) -> None:
    connection = http.client.HTTPConnection(served.address, timeout=20)

    def first_line() -> tuple[str | None, bytes]:
        connection.request("GET", "/v1/events", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        try:
            return answer.getheader("Content-Encoding"), answer.readline()
        finally:
            connection.close()

    coding, line = await asyncio.to_thread(first_line)
    assert coding is None and line.startswith((b"event", b"retry", b"id", b":"))


async def test_the_files_of_the_explorer_are_packed_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as found:
        headers, body = await sent(found, "/", "gzip")
        assert headers["content-encoding"] == "gzip" and gzip.decompress(body).startswith(b"<!doctype html>")
