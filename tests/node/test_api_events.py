"""The event stream tells what happens as it happens, and costs nothing else when a listener is slow or many."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from node.api import events
from node.api.events import KINDS, Listener
from node.trainer_messages import Stepped, Validated
from tests.node.served import PATIENCE_SECONDS, WIDE, Served, serving

Event = tuple[str, Any]


@asynccontextmanager
async def listening(served: Served) -> AsyncIterator[aiohttp.StreamReader]:
    """An open stream."""
    async with served.session.get(served.url + "/v1/events") as response:
        assert response.status == 200 and response.headers["Content-Type"] == "text/event-stream"
        yield response.content


async def events_of(stream: aiohttp.StreamReader) -> AsyncIterator[Event]:
    """Kind and content of each event; a comment has the kind `:`."""
    kind, number = "", 0
    async for line in stream:
        name, _, rest = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = rest
        elif name == "id":
            assert int(rest) > number
            number = int(rest)
        elif name == "data":
            yield kind, json.loads(rest)
        elif line.startswith(b":"):
            yield ":", line.decode().strip(": \n")


async def until(stream: aiohttp.StreamReader, *wanted: str) -> dict[str, Any]:
    """The first event of each wanted kind."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for kind, content in events_of(stream):
            found.setdefault(kind, content)
            if set(wanted) <= set(found):
                return found
    raise AssertionError(f"the stream ended after {sorted(found)}")


async def ended(stream: aiohttp.StreamReader) -> list[Event]:
    """Everything up to the end of the stream."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [event async for event in events_of(stream)]


async def test_a_stream_begins_with_the_status_and_tells_blocks_as_they_become_final(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served, listening(served) as stream:
        before = await until(stream, "status")
        async with served.blocks():
            seen = await until(stream, "block")
        assert before["status"]["height"] == seen["block"]["height"] - 1
        assert seen["block"] == (await served.get("/v1/blocks?limit=100"))["blocks"][-seen["block"]["height"]]


async def test_the_life_of_a_round_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served, listening(served) as stream:
        # Nobody trains: the round in training becomes void, and the next one opens.
        async with served.blocks():
            seen = await until(stream, "round_void", "round_opened")
        assert seen["round_opened"]["round"] == seen["round_void"]["round"] + 1
        assert set(seen) <= set(KINDS)


async def test_progress_is_told_and_not_more_often_than_a_few_times_a_second(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served, listening(served) as stream:
        await until(stream, "status")
        for step in range(1, 50):
            served.node._on_trainer(Stepped(6, step, 3.25, 1234.56))
        served.node._on_trainer(Validated(99, 2.5))
        async with asyncio.timeout(PATIENCE_SECONDS):
            heard = []
            async for event in events_of(stream):
                heard.append(event)
                if event[0] == "validated":
                    break
        told = [content for kind, content in heard if kind == "progress"]
        assert told == [{"round": 6, "step": 1, "steps": 4, "training_loss": 3.25, "tokens_per_second": 1234.6}]
        assert heard[-1] == ("validated", {"round": 99, "validation_loss": 2.5})


async def test_a_listener_that_does_not_keep_up_is_dropped_with_a_word_and_others_are_not(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        served.api.desk.events.queue_events = 5
        async with listening(served) as slow:
            await until(slow, "status")
            for number in range(4):
                served.api.desk.events.announce("block", {"number": number})
            assert served.api.desk.events.streams == 1
            for number in range(2):
                served.api.desk.events.announce("block", {"number": number})
            assert served.api.desk.events.streams == 0
            assert [kind for kind, _ in await ended(slow)] == ["dropped"]
        async with listening(served) as next_one:
            await until(next_one, "status")


async def test_a_queue_takes_as_many_events_as_it_has_places() -> None:
    listener = Listener(2)
    assert [listener.tell(b"event") for _ in range(3)] == [True, True, False]
    listener.end(b"last words")
    assert [listener.queue.get_nowait() for _ in range(2)] == [b"last words", None]


async def test_a_client_that_stops_to_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "WRITE_SECONDS", 0.2)
    async with serving(tmp_path / "home") as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1_024)
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"event: status")
        desk = served.api.desk
        async with asyncio.timeout(PATIENCE_SECONDS):
            while desk.streams.present:
                desk.events.announce("block", {"filling": "x" * 500_000})
                await asyncio.sleep(0.02)
        writer.close()


async def test_silence_is_broken_by_a_heartbeat(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        served.api.desk.events.heartbeat_seconds = 0.05
        async with listening(served) as stream:
            assert (await until(stream, ":"))[":"] == "heartbeat"


async def test_the_number_of_streams_has_a_limit_and_an_ended_one_makes_room(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", replace(WIDE, streams=2)) as served:
        async with listening(served) as one, listening(served) as other:
            await asyncio.gather(until(one, "status"), until(other, "status"))
            refused = await served.ask("/v1/events")
            assert (refused.status, refused.code) == (503, "busy")
            assert (await served.ask("/v1/status")).status == 200
        served.api.desk.events.heartbeat_seconds = 0.01
        async with asyncio.timeout(PATIENCE_SECONDS):
            while served.api.desk.streams.present == 2:
                served.api.desk.events.announce("block", {})
                await asyncio.sleep(0.01)
        async with listening(served) as third:
            await until(third, "status")


async def test_a_stream_ends_with_the_node(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        response = await served.session.get(served.url + "/v1/events")
        await until(response.content, "status")
        reading = asyncio.create_task(ended(response.content))
        await served.api.stop()
        assert (await reading)[-1] == ("end", {"reason": "the node stops"})
        response.close()


async def test_nothing_is_encoded_while_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path / "home") as served:
        monkeypatch.setattr(served.api.desk.events, "_encode", lambda kind, content: 1 // 0)
        served.node._on_trainer(Stepped(6, 1, 3.0, 1.0))
        served.api.desk.events.announce("block", {})
        async with served.blocks():
            await served.until("/v1/status", lambda status: status["height"] > 17)


async def test_the_status_is_told_once_for_all_listeners_and_only_if_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STATUS_SECONDS", 0.02)
    made = []

    def count(node: Any) -> Any:
        made.append(node)
        return fixed

    async with serving(tmp_path / "home") as served:
        fixed = replace(events.status_of(served.node), tokens_trained=12_345)  # not what was told already
        async with listening(served) as one, listening(served) as other:
            await asyncio.gather(until(one, "status"), until(other, "status"))
            monkeypatch.setattr(events, "status_of", count)
            for stream in (one, other):
                while (await until(stream, "status"))["status"]["tokens_trained"] != fixed.tokens_trained:
                    pass
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(made) < 5:
                    await asyncio.sleep(0.01)
            served.api.desk.events.announce("block", {})
            assert set(await until(one, "block")) == set(await until(other, "block")) == {"block"}
