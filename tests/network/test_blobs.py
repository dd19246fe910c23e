"""Blobs over HTTPS: what a server gives to whom, and what a fetcher takes from whom."""

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from network import blob_server, https_source, part_file
from network.blob_client import BlobFetcher
from network.blob_errors import Absent, BadPages, DiskFailed, NoSourceLeft, SourceFailed
from network.blob_server import PIECE_BYTES, BlobServer, ServeLimits, parse_range
from network.download import FAILURES_MAXIMUM
from network.pages import PAGE_BYTES, PAGES_MAXIMUM, PageList, Wanted, decode_list
from network.part_file import PartFile
from network.tls import client_context
from tests.network.blob_servers import (
    BLOB,
    HASHING,
    HASTY,
    PATIENT,
    TRUE,
    Loopback,
    Memory,
    blob_of,
    collapsed,
    liar,
    list_of,
    loopback,
    pages_of,
    root_of,
    until_the_end,
    wanted,
)


async def asked(
    address: str, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, bytes, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"https://{address}{path}", headers=headers, ssl=client_context()) as response,
    ):
        return response.status, await response.read(), dict(response.headers)


def parts(into: Path) -> list[Path]:
    return part_file.parts_of(into)


# ---- The server


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=3-6", (3, 7)),
        ("bytes=9-9", (9, 10)),
        ("bytes=5-99", (5, 10)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=10-", None),
        ("bytes=10-12", None),
        ("bytes=6-5", None),
        ("bytes=-0", None),
        ("bytes=-", None),
        ("bytes=1-2,4-5", None),
        ("bytes=a-b", None),
        ("bytes=1-2-3", None),
        ("bytes=+1-2", None),
        ("bytes=٣-٤", None),
        ("pages=1-2", None),
        ("bytes=" + "9" * 99 + "-", None),
    ],
)
def test_one_range_of_bytes_is_read_as_rfc_9110_says(text: str, found: tuple[int, int] | None) -> None:
    assert parse_range(text, 10) == found


async def test_a_blob_is_given_whole_in_part_or_not_at_all() -> None:
    path, size = f"/blob/{root_of(BLOB).hex()}", len(BLOB)
    async with loopback() as net:
        address = await net.serve(Memory.of(BLOB))
        status, body, headers = await asked(address, path)
        assert (status, body, headers["Accept-Ranges"]) == (200, BLOB, "bytes")
        status, body, headers = await asked(address, path, {"Range": f"bytes={size - 5}-{size + 5}"})
        assert (status, body) == (206, BLOB[-5:])
        assert headers["Content-Range"] == f"bytes {size - 5}-{size - 1}/{size}"
        status, _, headers = await asked(address, path, {"Range": f"bytes={size}-"})
        assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")
        status, body, headers = await asked(address, path, method="HEAD")
        assert (status, body, headers["Content-Length"]) == (200, b"", str(size))
        status, body, headers = await asked(address, path, {"Range": "bytes=2-4"}, "HEAD")
        assert (status, body, headers["Content-Length"]) == (206, b"", "3")
        status, body, _ = await asked(address, path + "/pages")
        assert (status, body) == (200, list_of(BLOB).encode())
        assert (await asked(address, path, method="POST"))[0] == 405


async def test_only_64_lower_case_digits_are_a_name_and_nothing_else_reaches_the_source() -> None:
    class Untouched(Memory):
        def size(self, root: bytes) -> int | None:
            raise AssertionError("asked for something that is no name")

    name = root_of(BLOB).hex()
    async with loopback() as net:
        address = await net.serve(Untouched())
        for bad in (
            name.upper(),
            name[:-1],
            name + "0",
            "../" + name,
            "%2e%2e%2f" + name,
            name[:-1] + "g",
            name + "%0a",
        ):
            assert (await asked(address, f"/blob/{bad}"))[0] == 404
    async with loopback() as net:
        address = await net.serve(Memory.of(BLOB))
        assert (await asked(address, f"/blob/{'07' * 32}"))[0] == 404
        assert (await asked(address, f"/blob/{'07' * 32}/pages"))[0] == 404


async def test_a_blob_is_read_in_pieces() -> None:
    source = Memory.of(BLOB)
    async with loopback() as net:
        await asked(await net.serve(source), f"/blob/{root_of(BLOB).hex()}")
    assert max(length for _, length in source.reads) <= PIECE_BYTES
    assert sum(length for _, length in source.reads) == len(BLOB)


async def test_a_blob_that_goes_while_it_is_served_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    class Vanishing(Memory):
        def read(self, root: bytes, offset: int, length: int) -> bytes | None:
            return super().read(root, offset, length) if offset == 0 else None

    async with loopback() as net:
        with pytest.raises(aiohttp.ClientPayloadError):
            await asked(await net.serve(Vanishing.of(BLOB)), f"/blob/{root_of(BLOB).hex()}")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_goes_or_takes_nothing_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    blob, limits = blob_of(20), ServeLimits(write_seconds=0.05)
    path = f"/blob/{root_of(blob).hex()}"
    server = BlobServer(Memory.of(blob), limits)
    async with loopback() as net, aiohttp.ClientSession(read_bufsize=1 << 10) as session:
        address = await net.listen(server.routes())
        async with session.get(f"https://{address}{path}", ssl=client_context()) as response:
            while server.answers:
                await asyncio.sleep(0.01)  # nothing is read meanwhile
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        async with session.get(f"https://{address}{path}", ssl=client_context()) as response:
            response.close()
        while server.answers:
            await asyncio.sleep(0.01)
    server.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    ("limits", "refusal"), [(ServeLimits(answers_per_client=2), 429), (ServeLimits(answers=2), 503)]
)
async def test_more_answers_at_once_than_allowed_are_refused_and_the_next_is_welcome(
    limits: ServeLimits, refusal: int
) -> None:
    gate, inside = asyncio.Event(), asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()

    class Held(Memory):
        def size(self, root: bytes) -> int | None:
            loop.call_soon_threadsafe(inside.release)
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
            return super().size(root)

    path = f"/blob/{root_of(BLOB).hex()}"
    async with loopback() as net:
        address = await net.serve(Held.of(BLOB), limits)
        waiting = [asyncio.create_task(asked(address, path)) for _ in range(2)]
        for _ in waiting:
            await inside.acquire()
        status, _, headers = await asked(address, path)
        assert (status, headers["Retry-After"]) == (refusal, "1")
        gate.set()
        assert [status for status, _, _ in await asyncio.gather(*waiting)] == [200, 200]
        assert (await asked(address, path))[0] == 200


async def test_a_client_waits_when_it_has_had_its_bytes_of_this_second(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    server = BlobServer(Memory(), ServeLimits(bytes_per_second_per_client=1000))
    monkeypatch.setattr(blob_server.asyncio, "sleep", noted)
    one, other = server._client("192.0.2.1"), server._client("192.0.2.2")
    await server._pace(one, 1000)
    assert waits == []
    await server._pace(one, 2000)
    await server._pace(other, 1000)
    assert [round(wait, 1) for wait in waits] == [2.0]
    server.close()


def test_an_ipv6_client_shares_its_pace_with_its_network_and_old_ones_are_forgotten() -> None:
    server = BlobServer(Memory(), ServeLimits(clients=3))
    assert server._client("2001:db8::1") is server._client("2001:db8::ffff") is not server._client("2001:db8:0:1::1")
    busy = server._client("0.0.0.0")
    busy.answers = 1
    for number in range(9):
        server._client(f"192.0.2.{number}")
    assert len(server._clients) == 3 and server._client("0.0.0.0") is busy
    server.close()


# ---- Lists of page hashes


def test_a_list_is_taken_up_to_the_size_that_is_wanted_and_no_further() -> None:
    data = list_of(BLOB).encode()
    for most, exact, good in (
        (len(BLOB), None, True),
        (len(BLOB) - 1, None, False),
        (len(BLOB) + 1, len(BLOB), True),
        (len(BLOB) + 1, len(BLOB) - 1, False),
        (len(BLOB) + 1, len(BLOB) + 1, False),
    ):
        want = Wanted(root_of(BLOB), most, exact)
        if good:
            assert decode_list(data, want, HASHING) == list_of(BLOB)
        else:
            with pytest.raises(BadPages):
                decode_list(data, want, HASHING)


def test_the_longest_list_is_the_longest_that_fits_into_a_message() -> None:
    assert Wanted(bytes(32), 1 << 50).allows(PAGES_MAXIMUM * PAGE_BYTES)
    assert not Wanted(bytes(32), 1 << 50).allows(PAGES_MAXIMUM * PAGE_BYTES + 1)


@given(st.one_of(st.binary(max_size=80), st.integers(0, 2**64 - 1).map(lambda n: n.to_bytes(8, "big") + bytes(64))))
def test_any_bytes_are_a_list_that_encodes_to_them_or_refused(data: bytes) -> None:
    want = Wanted(HASHING.root_of((bytes(32), bytes(32))), 64 << 20)
    with suppress(BadPages):
        assert decode_list(data, want, HASHING).encode() == data


# ---- The fetcher, with honest sources


async def test_two_sources_are_used_at_once(tmp_path: Path) -> None:
    blob, both = blob_of(2), asyncio.Barrier(2)

    def meeting() -> list[web.RouteDef]:
        true = pages_of(blob)

        async def give_list(request: web.Request) -> web.Response:
            return web.Response(body=list_of(blob).encode())

        async def give_page(request: web.Request) -> web.Response:
            index = int(request.headers["Range"].removeprefix("bytes=").partition("-")[0]) // PAGE_BYTES
            await both.wait()  # no page leaves before the other source has been asked for one
            return web.Response(status=206, body=true[index])

        return [web.get("/blob/{root}", give_page), web.get("/blob/{root}/pages", give_list)]

    async with loopback() as net:
        sources = await net.sources(await net.listen(meeting()), await net.listen(meeting()))
        assert await net.fetcher().fetch(wanted(blob), sources, tmp_path / "blob") == len(blob)
    assert (tmp_path / "blob").read_bytes() == blob and not net.faults


@pytest.mark.parametrize("pages", [1 / PAGE_BYTES, 1, 1 + 1 / PAGE_BYTES])
async def test_a_blob_of_any_length_comes_whole_and_progress_is_told(tmp_path: Path, pages: float) -> None:
    blob, told = blob_of(pages), []
    async with loopback() as net:
        sources = await net.sources(await net.serve(Memory.of(blob)))
        await net.fetcher().fetch(wanted(blob), sources, tmp_path / "blob", lambda *now: told.append(now))
    assert (tmp_path / "blob").read_bytes() == blob
    assert [path.name for path in tmp_path.iterdir()] == ["blob"]
    assert told[-1] == (len(pages_of(blob)),) * 2


async def test_a_source_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with loopback() as net:
        stuck = await net.listen(liar(BLOB, page=lambda index: None))
        sources = await net.sources(stuck, await net.serve(Memory.of(BLOB)))
        await net.fetcher().fetch(wanted(BLOB), sources, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == BLOB and not net.faults


async def test_while_pages_come_none_is_asked_for_twice_however_many_have_it(tmp_path: Path) -> None:
    blob = blob_of(2.5)
    holders = [Memory.of(blob) for _ in range(4)]
    async with loopback() as net:
        sources = await net.sources(*[await net.serve(holder) for holder in holders])
        limits = replace(PATIENT, quiet_seconds=600)
        await net.fetcher(limits).fetch(wanted(blob), sources, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == blob
    assert sum(length for holder in holders for _, length in holder.reads) == len(blob)


async def test_silent_sources_do_not_keep_the_others_from_being_asked(tmp_path: Path) -> None:
    async def wait(request: web.Request) -> web.StreamResponse:
        await until_the_end()
        raise web.HTTPNotFound

    async with loopback() as net:
        silent = await net.listen([web.get("/{any:.*}", wait)])
        limits = replace(PATIENT, at_once=2, reply_seconds=600, quiet_seconds=0.1)
        sources = [*await net.sources(silent, await net.listen([web.get("/{any:.*}", wait)]))]
        sources += await net.sources(await net.serve(Memory.of(BLOB)))
        async with asyncio.timeout(30):
            await net.fetcher(limits).fetch(wanted(BLOB), sources, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == BLOB and net.faults == []


async def test_a_busy_server_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https_source, "BUSY_WAIT_SECONDS", 0)
    server, refusals = BlobServer(Memory.of(BLOB)), iter([429, 503] * 2)

    async def give(request: web.Request) -> web.StreamResponse:
        if (status := next(refusals, None)) is not None:
            return web.Response(status=status)
        return await (server._pages if request.path.endswith("/pages") else server._blob)(request)

    async with loopback() as net:
        address = await net.listen([web.get(route.path, give) for route in server.routes()])
        await net.fetcher().fetch(wanted(BLOB), await net.sources(address), tmp_path / "blob")
    server.close()
    assert (tmp_path / "blob").read_bytes() == BLOB


# ---- Sources that lie

Page = Callable[[int], bytes | None]
BAD_LISTS = {
    "another root": PageList(len(BLOB), list_of(blob_of(4.5, 2)).hashes).encode(),
    "shorter than its size says": list_of(BLOB).encode()[:-1],
    "longer than its size says": list_of(BLOB).encode() + bytes(32),
    "a size of fewer pages": PageList(len(BLOB) - PAGE_BYTES, list_of(BLOB).hashes).encode(),
    "more bytes than wanted": PageList((64 << 20) + 1, (bytes(32),) * 65).encode(),
    "of a billion pages": (10**9 * PAGE_BYTES).to_bytes(8, "big") + bytes(64),
    "empty": bytes(8),
    "no list": b"",
    "without an end": bytes(1 << 20),
    "a size one byte off": PageList(len(BLOB) - 1, list_of(BLOB).hashes).encode(),
    "collapsed": collapsed(BLOB),
}
BAD_PAGES: dict[str, Page] = {
    "other bytes": lambda index: TRUE[index][:-1] + bytes([TRUE[index][-1] ^ 1]),
    "truncated": lambda index: TRUE[index][:-1],
    "empty": lambda index: b"",
    "too long": lambda index: TRUE[index] + b"\0",
    "another page": lambda index: TRUE[index ^ 1] if index < 4 else TRUE[0],
}


async def fetched_beside_honest_ones(net: Loopback, routes: list[web.RouteDef], into: Path) -> str:
    """A liar who is asked first, and two honest sources. Returns the liar's address."""
    address = await net.listen(routes)
    honest = [await net.serve(Memory.of(BLOB)) for _ in range(2)]
    await net.fetcher().fetch(wanted(BLOB), await net.sources(address, *honest), into)
    assert into.read_bytes() == BLOB
    assert [path.name for path in into.parent.iterdir()] == [into.name]
    return address


@pytest.mark.parametrize("kind", BAD_LISTS)
async def test_who_shows_a_false_list_is_blamed_and_nobody_else(tmp_path: Path, kind: str) -> None:
    async with loopback() as net:
        address = await fetched_beside_honest_ones(net, liar(BLOB, BAD_LISTS[kind]), tmp_path / "blob")
        assert [who for who, _ in net.faults] in ([address], [])
        if kind not in ("collapsed", "a size one byte off"):  # these show themselves only by their pages
            assert net.faults


@pytest.mark.parametrize("kind", BAD_PAGES)
async def test_who_gives_a_false_page_is_blamed_and_nobody_else(tmp_path: Path, kind: str) -> None:
    async with loopback() as net:
        address = await fetched_beside_honest_ones(net, liar(BLOB, page=BAD_PAGES[kind]), tmp_path / "blob")
        assert [who for who, _ in net.faults] == [address]


@pytest.mark.parametrize("kind", ["collapsed", "of a billion pages", *BAD_PAGES])
async def test_liars_alone_give_an_error_that_names_them_and_what_they_did(tmp_path: Path, kind: str) -> None:
    shown, page = BAD_LISTS.get(kind), BAD_PAGES.get(kind)
    async with loopback() as net:
        address = await net.listen(liar(BLOB, shown, page))
        with pytest.raises(NoSourceLeft, match=address):
            await net.fetcher().fetch(wanted(BLOB), await net.sources(address), tmp_path / "blob")
        assert [who for who, _ in net.faults] == [address]
    assert not (tmp_path / "blob").exists()


async def test_who_errs_only_in_the_size_is_blamed_when_the_last_page_shows_it(tmp_path: Path) -> None:
    async with loopback() as net:
        address = await net.listen(liar(BLOB, BAD_LISTS["a size one byte off"]))
        await net.fetcher().fetch(wanted(BLOB), await net.sources(address), tmp_path / "blob")
        assert (tmp_path / "blob").read_bytes() == BLOB
        assert net.faults == [(address, f"said that the blob has {len(BLOB) - 1} bytes, it has {len(BLOB)}")]


@pytest.mark.parametrize("place", [0, 1], ids=["a page", "the list"])
async def test_who_does_not_answer_in_time_is_given_up_but_not_blamed(tmp_path: Path, place: int) -> None:
    async def wait(request: web.Request) -> web.StreamResponse:
        await until_the_end()
        raise web.HTTPNotFound

    async with loopback() as net:
        routes = liar(BLOB)
        routes[place] = web.get(routes[place].path, wait)
        sources = await net.sources(await net.listen(routes))
        with pytest.raises(NoSourceLeft, match="too slow"):
            await net.fetcher(HASTY).fetch(wanted(BLOB), sources, tmp_path / "blob")
    assert not net.faults and not list(tmp_path.iterdir())


async def test_who_does_not_have_it_or_is_not_there_is_not_blamed(tmp_path: Path) -> None:
    async with loopback() as net:
        sources = await net.sources(await net.serve(Memory()), "127.0.0.1:1")
        with pytest.raises(NoSourceLeft, match=r"does not have it; 127\.0\.0\.1:1: no answer over HTTPS"):
            await net.fetcher().fetch(wanted(BLOB), sources, tmp_path / "blob")
        with pytest.raises(NoSourceLeft, match="none was given"):
            await net.fetcher().fetch(wanted(BLOB), [], tmp_path / "blob")
    assert not net.faults and not list(tmp_path.iterdir())


# ---- Interrupted


async def interrupted(net: Loopback, into: Path, pages: int = 2) -> None:
    """A fetch that is cancelled when so many pages have come."""
    true, enough = pages_of(BLOB), asyncio.Event()

    def told(here: int, of: int) -> None:
        if here == pages:
            enough.set()

    address = await net.listen(liar(BLOB, page=lambda index: true[index] if index < pages else None))
    sources = await net.sources(address)
    fetch = asyncio.create_task(net.fetcher().fetch(wanted(BLOB), sources, into, told))
    await enough.wait()
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    assert not into.exists() and len(parts(into)) == 1


def served_pages(source: Memory) -> list[int]:
    return sorted({offset // PAGE_BYTES for offset, _ in source.reads})


async def test_what_was_verified_before_an_interruption_is_not_fetched_again(tmp_path: Path) -> None:
    source = Memory.of(BLOB)
    async with loopback() as net:
        await interrupted(net, tmp_path / "blob")
        await net.fetcher().fetch(wanted(BLOB), await net.sources(await net.serve(source)), tmp_path / "blob")
    assert served_pages(source) == [2, 3, 4]
    assert (tmp_path / "blob").read_bytes() == BLOB and not parts(tmp_path / "blob")


@pytest.mark.parametrize(
    ("damage", "again"),
    [
        (lambda data: data[:5] + b"\0" + data[6:], [0, 2, 3, 4]),
        (lambda data: data[: PAGE_BYTES + 7], [1, 2, 3, 4]),
        (lambda data: b"", [0, 1, 2, 3, 4]),
        (lambda data: BLOB + b"more", [4]),
        (lambda data: BLOB, []),
        (lambda data: bytes(9 * PAGE_BYTES), [0, 1, 2, 3, 4]),
    ],
    ids=["a flipped byte", "torn", "empty", "too long", "whole", "zeros"],
)
async def test_whatever_a_crash_left_on_disk_only_good_pages_count(
    tmp_path: Path, damage: Callable[[bytes], bytes], again: list[int]
) -> None:
    source, into = Memory.of(BLOB), tmp_path / "blob"
    part = PartFile(into, list_of(BLOB).hashes).path
    part.write_bytes(damage(BLOB[: 2 * PAGE_BYTES]))
    async with loopback() as net:
        await net.fetcher().fetch(wanted(BLOB), await net.sources(await net.serve(source)), into)
    assert served_pages(source) == again
    assert into.read_bytes() == BLOB and not parts(into)


async def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, into, write, written = Memory.of(BLOB), tmp_path / "blob", os.pwrite, []

    def filling(file: int, data: memoryview, offset: int) -> int:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(offset // PAGE_BYTES)
        return write(file, data, offset)

    async with loopback() as net:
        sources = await net.sources(await net.serve(source))
        with monkeypatch.context() as patch:
            patch.setattr(part_file.os, "pwrite", filling)
            with pytest.raises(DiskFailed, match="No space left on device"):
                await net.fetcher().fetch(wanted(BLOB), sources, into)
        source.reads.clear()
        await net.fetcher().fetch(wanted(BLOB), sources, into)
    assert served_pages(source) == sorted({0, 1, 2, 3, 4} - set(written))
    assert into.read_bytes() == BLOB and not net.faults


# ---- Any mixture


class Scripted:
    """A source in this process. What it does wrong is in its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.vice = name.partition(" ")[2]

    async def page_list(self, wish: Wanted) -> bytes:
        await asyncio.sleep(0)
        match self.vice:
            case "absent":
                raise Absent
            case "broken":
                raise SourceFailed("broken")
        return BAD_LISTS.get(self.vice, list_of(BLOB).encode())

    async def page(self, root: bytes, index: int) -> bytes:
        await asyncio.sleep(0)
        if self.vice == "silent":
            raise TimeoutError
        if self.vice == "breaking":
            raise SourceFailed("broken")
        given = BAD_PAGES.get(self.vice, lambda index: TRUE[index])(index)
        assert given is not None
        return given


VICES = ["", "absent", "broken", "breaking", "silent", *BAD_PAGES, "collapsed", "a size one byte off", "another root"]


@given(st.lists(st.sampled_from(VICES), max_size=5))
@settings(max_examples=15, deadline=None)
def test_one_honest_source_suffices_and_none_is_ever_blamed_whoever_else_lies(vices: list[str]) -> None:
    sources, blamed = [Scripted(f"{number} {vice}") for number, vice in enumerate(vices)], []
    with TemporaryDirectory() as folder:
        into = Path(folder) / "blob"
        fetcher = BlobFetcher(HASHING, PATIENT, lambda source, reason: blamed.append(source.name.partition(" ")[2]))
        try:
            asyncio.run(fetcher.fetch(wanted(BLOB), sources, into))
            assert into.read_bytes() == BLOB
        except NoSourceLeft as error:
            assert "" not in vices
            assert all(source.name in str(error) for source in sources)
            assert not into.exists()
    assert not {"", "absent", "broken", "breaking", "silent"} & set(blamed)


async def test_a_source_is_out_when_it_has_failed_twice_in_a_row(tmp_path: Path) -> None:
    class Flaky(Scripted):
        calls = 0

        async def page(self, root: bytes, index: int) -> bytes:
            self.calls += 1
            if self.calls % FAILURES_MAXIMUM:
                raise SourceFailed("a bad moment")
            return await super().page(root, index)

    await BlobFetcher(HASHING, PATIENT).fetch(wanted(BLOB), [Flaky("0 ")], tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == BLOB
    broken = Scripted("0 breaking")
    with pytest.raises(NoSourceLeft, match="0 breaking: broken"):
        await BlobFetcher(HASHING, PATIENT).fetch(wanted(BLOB), [broken], tmp_path / "other")
