"""Blobs over the connections between peers: who is asked, who is believed, who is blamed, and what is bounded."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.crypto.hashing import merkle_root
from chain.errors import NeuroError
from network.kinds import KINDS, PAGE, PAGE_REQUEST, PAGES, PAGES_REQUEST
from network.pages import PAGE_BYTES, PAGES_MAXIMUM
from node import blob_exchange
from node.blob_exchange import BYTES_MAXIMUM, PAGES_AT_ONCE, PATIENCE_MS
from node.blob_messages import Page, PageRequest, Pages, PagesRequest
from node.blob_requests import PAGE_PATIENCE_MS
from node.blob_serving import BYTES_PER_SECOND, WAITING_MAXIMUM
from node.blob_source import LISTS_KEPT, FileSource, Sources
from node.payload_store import PayloadStore, payload_root
from tests.network.blob_servers import BLOB, TRUE, blob_of, collapsed, list_of, root_of
from tests.node.blob_world import LATENCY_MS, SimNode, World
from training import pages as training_pages

ROOT = root_of(BLOB)


@dataclass
class Told:
    """What a wish came to."""

    answers: list[bytes | Path | None] = field(default_factory=list)

    def __call__(self, answer: bytes | Path | None) -> None:
        self.answers.append(answer)


def wish(node: SimNode, holders: tuple[bytes, ...] = (), size: int | None = None) -> Told:
    told = Told()
    node.blobs.want(ROOT, BYTES_MAXIMUM, holders, told, size)
    return told


def pages_read(node: SimNode) -> list[int]:
    return sorted(offset // PAGE_BYTES for offset, _ in node.source.reads)


# ---- Honest peers


def test_a_page_is_the_same_to_training_and_to_the_network():
    assert training_pages.PAGE_BYTES == PAGE_BYTES
    assert payload_root(BLOB) == merkle_root(TRUE) == ROOT


def test_a_blob_comes_from_several_peers_each_page_once():
    world = World()
    us, others = world.node(), [world.node(BLOB) for _ in range(3)]
    world.connect(us, *others)
    told = wish(us)
    assert told.answers == []
    world.run()
    assert told.answers == [BLOB] and not us.blamed
    # The last pages are asked of who is idle too, so that a slow peer holds up nothing.
    read = [page for other in others for page in pages_read(other)]
    assert set(read) == {0, 1, 2, 3, 4} and read.count(0) == 1
    assert sum(bool(other.source.reads) for other in others) == 3


def test_who_should_hold_it_is_asked_before_others():
    world = World()
    us, *others = (world.node() for _ in range(20))
    holder = world.node(BLOB)
    world.connect(us, *others, holder)
    told = wish(us, holders=(b"\x99" * 33, holder.key))
    world.run(LATENCY_MS)
    assert us.sent[0] == (holder.key, PAGES_REQUEST)
    world.run()
    assert told.answers == [BLOB]


def test_two_wishes_for_one_blob_fetch_it_once_and_a_forgotten_one_is_told_nothing():
    world = World()
    us, other = world.node(), world.node(BLOB)
    world.connect(us, other)
    first, second = wish(us), wish(us)
    world.run()
    assert first.answers == second.answers == [BLOB]
    assert len(pages_read(other)) == 5
    third = wish(us)
    world.run(world.now + 3 * LATENCY_MS)
    us.blobs.forget(ROOT)
    world.run()
    assert third.answers == [] and not us.blamed


def test_who_gets_it_later_or_joins_later_is_asked_again():
    world = World()
    us, late = world.node(), world.node()
    world.connect(us, late)
    told = wish(us)
    world.run(5_000)
    assert told.answers == []
    late.source.blobs[ROOT] = BLOB
    world.run()
    assert told.answers == [BLOB]
    newcomer, told = world.node(BLOB), wish(us)
    late.source.blobs.clear()
    world.run(world.now + 500)
    world.connect(us, newcomer)
    world.run()
    assert told.answers == [BLOB]


@pytest.mark.parametrize("peers", [0, 2])
def test_after_a_while_it_is_told_that_nobody_has_it(peers: int):
    world = World()
    us = world.node()
    world.connect(us, *(world.node() for _ in range(peers)))
    told = wish(us)
    world.run(PATIENCE_MS - 1)
    assert told.answers == []
    world.run()
    assert told.answers == [None] and not us.blamed


def test_pages_survive_the_end_of_a_connection():
    world = World()
    us, first, second = world.node(), world.node(BLOB), world.node()
    world.connect(us, first)
    told = wish(us)
    # Two pages have come when the connection ends.
    while len(pages_read(first)) < 3:
        world.run(world.now + 1)
    world.disconnect(us, first)
    world.run(5_000)
    second.source.blobs[ROOT] = BLOB
    world.connect(us, second)
    world.run()
    assert told.answers == [BLOB] and pages_read(second) == [2, 3, 4]


# ---- Bounds


def test_no_more_pages_are_under_way_than_memory_is_meant_for():
    world, most, now = World(), 0, 0
    blobs = [blob_of(3.5, seed) for seed in range(3)]
    us, others = world.node(), [world.node(*blobs) for _ in range(6)]
    world.connect(us, *others)
    send = us.send

    def counted(key: bytes, kind: int, payload: bytes) -> None:
        nonlocal most, now
        now += kind == PAGE_REQUEST
        most = max(most, now)
        send(key, kind, payload)

    def received(key: bytes, kind: int, payload: bytes) -> None:
        nonlocal now
        now -= kind == PAGE
        us.parts.received(key, kind, payload)

    us.send, us.received = counted, received  # type: ignore[method-assign]
    told = [Told() for _ in blobs]
    for blob, each in zip(blobs, told, strict=True):
        us.blobs.want(root_of(blob), 10 << 20, (), each)
    world.run()
    assert [each.answers for each in told] == [[blob] for blob in blobs]
    assert most == PAGES_AT_ONCE


def test_wishes_that_memory_has_no_room_for_wait_for_their_turn():
    world = World()
    us, other, second = world.node(), world.node(BLOB, blob_of(1)), Told()
    world.connect(us, other)
    first = wish(us)
    us.blobs.want(root_of(blob_of(1)), 1, (), second)
    us.blobs.forget(root_of(blob_of(1)))
    us.blobs.want(root_of(blob_of(1)), PAGE_BYTES, (), second)
    world.run(50)
    assert (other.key, PAGES_REQUEST) in us.sent and us.sent.count((other.key, PAGES_REQUEST)) == 1
    world.run()
    assert first.answers == [BLOB] and second.answers == [blob_of(1)]


def test_a_peer_is_served_in_turn_and_what_it_asks_too_much_is_refused():
    world = World()
    asking, serving = world.node(), world.node(BLOB)
    world.connect(asking, serving)
    got: list[tuple[int, int]] = []

    def received(key: bytes, kind: int, payload: bytes) -> None:
        got.append((world.now, len(Page.decode(payload).content)))

    asking.received = received  # type: ignore[method-assign]
    for index in range(WAITING_MAXIMUM + 3):
        asking.send(serving.key, PAGE_REQUEST, PageRequest(ROOT, index % 4).encode())
    world.run()
    # One is being read, so many wait, the rest is refused at once.
    assert [size for _, size in got] == [0, 0] + [PAGE_BYTES] * (WAITING_MAXIMUM + 1)
    times = [at for at, size in got if size]
    pause = 1_000 * PAGE_BYTES // BYTES_PER_SECOND
    assert all(later - one >= pause for one, later in pairwise(times))


def test_the_longest_messages_fit_their_kinds():
    assert len(Pages(ROOT, 1, (ROOT,) * PAGES_MAXIMUM).encode()) <= KINDS[PAGES].bytes_maximum
    assert len(Page(ROOT, 1, bytes(PAGE_BYTES)).encode()) <= KINDS[PAGE].bytes_maximum
    assert len(PageRequest(ROOT, 1).encode()) <= KINDS[PAGE_REQUEST].bytes_maximum
    assert len(PagesRequest(ROOT).encode()) <= KINDS[PAGES_REQUEST].bytes_maximum


# ---- Liars

Answer = Callable[[int, bytes], list[tuple[int, bytes]]]  # kind and payload of a request → messages


class Liar(SimNode):
    """Answers by a script. `shown` is its encoded list (true if None), `page` gives what it sends for a page."""

    shown: bytes | None = None
    page: Callable[[int], bytes | None] = staticmethod(lambda index: TRUE[index])

    def received(self, key: bytes, kind: int, payload: bytes) -> None:
        if kind == PAGES_REQUEST:
            data = list_of(BLOB).encode() if self.shown is None else self.shown
            hashes = tuple(data[at : at + 32] for at in range(8, len(data), 32))
            self.send(key, PAGES, Pages(ROOT, int.from_bytes(data[:8], "big"), hashes).encode())
        elif kind == PAGE_REQUEST:
            index = PageRequest.decode(payload).index
            content = self.page(index)
            if content is not None:
                self.send(key, PAGE, Page(ROOT, index, content).encode())


def liar(world: World, kind: str) -> Liar:
    node = Liar(world, bytes([len(world.nodes) + 1]) * 33, world.node().source)
    lists = {
        "another root": list_of(blob_of(4.5, 2)).encode(),
        "a billion pages": (10**9 * PAGE_BYTES).to_bytes(8, "big") + bytes(64),
        "a size one off": (len(BLOB) + 1).to_bytes(8, "big") + list_of(BLOB).encode()[8:],
        "collapsed": collapsed(BLOB),
    }
    node.shown = lists.get(kind)
    node.page = {
        "other bytes": lambda index: TRUE[index][:-1] + b"\0",
        "truncated": lambda index: TRUE[index][:-1],
        "another page": lambda index: TRUE[0] if index else TRUE[1],
        "silent": lambda index: None,
        "refusing": lambda index: b"",
    }.get(kind, lambda index: TRUE[min(index, 4)])
    return node


LIES = ["another root", "a billion pages", "a size one off", "collapsed", "other bytes", "truncated", "another page"]
FAILURES = ["silent", "refusing"]


@pytest.mark.parametrize("kind", [*LIES, *FAILURES])
def test_a_liar_among_honest_peers_is_blamed_alone_and_the_blob_comes(kind: str):
    world = World()
    us, honest, bad = world.node(), [world.node(BLOB) for _ in range(2)], liar(world, kind)
    world.connect(us, *honest, bad)
    told = wish(us, holders=(bad.key,))
    world.run()
    assert told.answers == [BLOB]
    assert us.blamed.keys() <= {bad.key}
    if kind in ("another root", "a billion pages", "other bytes", "truncated", "another page", "silent"):
        assert us.blamed


@pytest.mark.parametrize("kind", ["collapsed", "other bytes", "another root"])
def test_a_liar_is_not_asked_again_for_the_same_blob(kind: str):
    world = World()
    us, bad = world.node(), liar(world, kind)
    world.connect(us, bad)
    told = wish(us)
    world.run()
    assert told.answers == [None]
    assert us.sent.count((bad.key, PAGES_REQUEST)) == 1 and len(us.blamed[bad.key]) == 1


@given(st.lists(st.sampled_from(["", "absent", *LIES, *FAILURES]), max_size=5), st.booleans(), st.integers(0, 3))
@settings(max_examples=12, deadline=None)
def test_one_honest_peer_suffices_and_none_is_ever_blamed(kinds: list[str], is_exact: bool, seed: int):
    world = World(seed)
    us = world.node()
    honest = {"": (BLOB,), "absent": ()}
    others = [world.node(*honest[kind]) if kind in honest else liar(world, kind) for kind in kinds]
    world.connect(us, *others)
    told = wish(us, size=len(BLOB) if is_exact else None)
    world.run()
    assert told.answers in ([BLOB], [None])
    assert told.answers == [BLOB] or "" not in kinds
    assert not us.blamed.keys() & {other.key for other, kind in zip(others, kinds, strict=True) if kind in honest}


def test_what_nobody_asked_for_is_blamed_but_not_what_comes_too_late():
    world = World()
    us, other = world.node(), world.node()
    world.connect(us, other)
    us.received(other.key, PAGE, Page(ROOT, 0, TRUE[0]).encode())
    us.received(other.key, PAGES, Pages(ROOT, 0, ()).encode())
    assert us.blamed[other.key] == ["sent a page or a list of pages that nobody asked for"] * 2
    us.blamed.clear()
    slow = liar(world, "silent")
    world.connect(us, slow)
    wish(us, holders=(slow.key,))
    world.run(PAGE_PATIENCE_MS + 100)
    assert us.blamed == {slow.key: ["did not answer a request of pages"]}
    us.received(slow.key, PAGE, Page(ROOT, 0, TRUE[0]).encode())
    assert len(us.blamed[slow.key]) == 1


@pytest.mark.parametrize("kind", [PagesRequest, Pages, PageRequest, Page])
@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes_are_a_message_that_encodes_to_them_or_refused(kind: type[Page], data: bytes):
    try:
        assert kind.decode(data).encode() == data
    except NeuroError:
        return


@given(st.sampled_from([PAGES_REQUEST, PAGES, PAGE_REQUEST, PAGE]), st.binary(max_size=100))
def test_a_strangers_bytes_lead_to_blame_at_most(kind: int, data: bytes):
    world = World()
    us, other = world.node(), world.node()
    world.connect(us, other)
    us.received(other.key, kind, data)
    world.run()


# ---- What this node serves


def test_files_are_served_under_their_root_and_only_while_they_have_it(tmp_path: Path):
    store = PayloadStore(tmp_path)
    root = store.put(BLOB)
    source = FileSource(store.find)
    assert source.size(root) == len(BLOB)
    assert source.page_hashes(root) == list_of(BLOB).encode()[8:]
    assert source.read(root, PAGE_BYTES, 9) == BLOB[PAGE_BYTES:][:9]
    assert source.read(root, len(BLOB) - 1, 9) == BLOB[-1:]
    store.path(root).write_bytes(BLOB[:-1] + b"\0")
    os.utime(store.path(root), ns=(1, 1))  # the clock of files is coarse
    assert (source.size(root), source.page_hashes(root), source.read(root, 0, 1)) == (None,) * 3
    store.put(BLOB)
    assert source.size(root) == len(BLOB)
    store.path(root).unlink()
    assert (source.size(root), source.page_hashes(root), source.read(root, 0, 1)) == (None,) * 3


@pytest.mark.parametrize("name", [bytes(32), b"\x07" * 32])
def test_an_empty_file_a_folder_and_zeros_are_no_blob(tmp_path: Path, name: bytes):
    source = FileSource(lambda root: tmp_path / root.hex())
    assert source.size(name) is None
    (tmp_path / name.hex()).write_bytes(b"")
    assert source.size(name) is None
    (tmp_path / name.hex()).write_bytes(bytes(PAGE_BYTES))
    assert source.size(name) is None
    (tmp_path / name.hex()).unlink()
    (tmp_path / name.hex()).mkdir()
    assert source.size(name) is None


def test_few_lists_of_hashes_are_kept_and_sources_add_up(tmp_path: Path):
    store = PayloadStore(tmp_path)
    roots = [store.put(b"payload %d" % number) for number in range(LISTS_KEPT + 5)]
    source = FileSource(store.find)
    assert all(source.size(root) for root in roots) and len(source._lists) == LISTS_KEPT
    both = Sources([FileSource(lambda root: None), source])
    assert (
        both.size(roots[0]) == len(b"payload 0") and both.page_hashes(roots[0]) and both.read(roots[0], 0, 3) == b"pay"
    )
    assert both.size(b"\x07" * 32) is None


def test_a_wish_beyond_the_memory_is_our_own_mistake():
    with pytest.raises(AssertionError):
        World().node().blobs.want(ROOT, blob_exchange.BYTES_MAXIMUM + 1, (), Told())
