"""An audit's blobs: from this disk or from peers, in time and of the right size and root, or a named error; no more
than the disk may hold."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from network.kinds import PAGE, PAGES
from network.pages import Wanted
from node import audit_blobs, blob_requests, blobs
from node.audit_blobs import AuditBlobs, NoRoom, Unserved
from node.blob_source import FileSource
from tests.network.blob_servers import Memory, blob_of, root_of
from tests.node.test_blobs import PEER, Pair, pair, peer

SHORT, LONG = blob_of(0.5, 1), blob_of(2.5, 2)
PATIENT, HASTY = 60.0, 0.2
ROOM = 1 << 26


def wanted(blob: bytes, size: int | None = None) -> Wanted:
    size = len(blob) if size is None else size
    return Wanted(root_of(blob), size, size)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "RETRY_MS", 10)
    monkeypatch.setattr(audit_blobs, "AGAIN_SECONDS", 0.01)


@asynccontextmanager
async def audited(folder: Path, *served: bytes, budget: int = ROOM) -> AsyncIterator[tuple[AuditBlobs, Pair]]:
    """We, and a node under audit that serves these over its connection."""
    async with pair(folder, peer(), Memory.of(*served)) as two:
        yield AuditBlobs(folder, Memory(), budget, two.blobs), two


# ---- From this disk


async def test_what_this_node_has_is_copied_and_nobody_is_asked(tmp_path: Path) -> None:
    own = AuditBlobs(tmp_path / "audits", Memory.of(SHORT, LONG), ROOM)
    found = await own.bring([wanted(SHORT), wanted(LONG), wanted(SHORT)], PEER, PATIENT)
    assert {root: path.read_bytes() for root, path in found.items()} == {root_of(SHORT): SHORT, root_of(LONG): LONG}
    assert names(tmp_path / "audits") == {root_of(SHORT).hex(), root_of(LONG).hex()}


async def test_what_has_come_is_not_brought_again_and_is_served_to_others(tmp_path: Path) -> None:
    async with audited(tmp_path, LONG) as (found, two):
        await found.bring([wanted(LONG)], PEER, PATIENT)
        sent = list(two.us.sent)
        await found.bring([wanted(LONG)], PEER, PATIENT)
        assert two.us.sent == sent
        assert FileSource(found.find).read(root_of(LONG), 1 << 20, 9) == LONG[1 << 20 :][:9]


@pytest.mark.parametrize(
    "damage", [b"", LONG[:-1], LONG + b"1", b"\0" + LONG[1:]], ids=["empty", "cut", "long", "flip"]
)
async def test_a_damaged_file_is_brought_anew(tmp_path: Path, damage: bytes) -> None:
    async with audited(tmp_path, LONG) as (found, _):
        (tmp_path / root_of(LONG).hex()).write_bytes(damage)
        assert (await found.bring([wanted(LONG)], PEER, PATIENT))[root_of(LONG)].read_bytes() == LONG


class Vanishing(Memory):
    """A source whose file is removed, or another one by now, when it is read."""

    def read(self, root: bytes, offset: int, length: int) -> bytes | None:
        return None if offset else bytes(length)


async def test_what_vanishes_from_this_disk_meanwhile_is_asked_of_others(tmp_path: Path) -> None:
    async with audited(tmp_path, LONG) as (found, _):
        found.own = Vanishing.of(LONG)
        assert (await found.bring([wanted(LONG)], PEER, PATIENT))[root_of(LONG)].read_bytes() == LONG


# ---- From others who do not give it


@asynccontextmanager
async def unserved(folder: Path, two: Pair, found: AuditBlobs, *wishes: Wanted) -> AsyncIterator[Unserved]:
    with pytest.raises(Unserved, match="could not be had within 0 s") as raised:
        await found.bring(wishes, PEER, HASTY)
    assert two.blobs._done == {} and found._coming == {} and not found._held  # Nothing goes on.
    yield raised.value


async def test_who_refuses_a_blob_leaves_it_unserved_and_the_others_stay(tmp_path: Path) -> None:
    async with audited(tmp_path, SHORT) as (found, two):
        async with unserved(tmp_path, two, found, wanted(SHORT), wanted(LONG)) as error:
            assert error.roots == {root_of(LONG)} and root_of(LONG).hex()[:16] in str(error)
        assert two.us.blamed == [] and names(tmp_path) == {root_of(SHORT).hex()}


async def test_without_peers_all_that_is_not_here_is_unserved(tmp_path: Path) -> None:
    alone = AuditBlobs(tmp_path, Memory.of(SHORT), ROOM)
    with pytest.raises(Unserved, match="1 blobs"):
        await alone.bring([wanted(SHORT), wanted(LONG)], PEER, PATIENT)


async def test_who_sends_garbage_is_blamed_and_nothing_of_it_gets_a_name(tmp_path: Path) -> None:
    async with audited(tmp_path, LONG) as (found, two):
        two.them.mutate = True
        async with unserved(tmp_path, two, found, wanted(LONG)):
            assert len(two.us.blamed) >= 1 and root_of(LONG).hex() not in names(tmp_path)


async def test_who_shows_a_list_with_another_root_is_blamed(tmp_path: Path) -> None:
    async with audited(tmp_path) as (found, two):
        two.source.blobs[root_of(LONG)] = blob_of(2.5, 3)
        async with unserved(tmp_path, two, found, wanted(LONG)):
            assert "with another root" in two.us.blamed[0] and names(tmp_path) == set()


@pytest.mark.parametrize("size", [len(LONG) - 1, len(LONG) + 1, 4])
async def test_a_blob_of_another_size_than_the_model_has_is_not_taken_although_its_root_is_right(
    tmp_path: Path, size: int
) -> None:
    async with audited(tmp_path, LONG) as (found, two):
        found.own = Memory.of(LONG)
        async with unserved(tmp_path, two, found, wanted(LONG, size)):
            assert "for a blob of" in two.us.blamed[0] and names(tmp_path) == set()
            assert PAGE not in two.them.sent


async def test_a_node_that_answers_ever_more_slowly_costs_no_more_than_the_time_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blob_requests, "PAGE_PATIENCE_MS", 500)  # with one question, before it is asked anew
    async with audited(tmp_path, SHORT, LONG) as (found, two):
        send = two.them.send

        def loris(key: bytes, kind: int, payload: bytes) -> None:
            if kind == PAGES:
                send(key, kind, payload)  # It has it all, and gives nothing.

        two.them.send = loris  # type: ignore[method-assign]
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.01)
                beats += 1

        beating = asyncio.create_task(beat())
        async with unserved(tmp_path, two, found, wanted(SHORT), wanted(LONG)) as error:
            assert len(error.roots) == 2 and beats > 1
        beating.cancel()
        # It changes its mind: what is missing comes the next time.
        two.them.send = send  # type: ignore[method-assign]
        assert len(await found.bring([wanted(SHORT), wanted(LONG)], PEER, PATIENT)) == 2


async def test_who_has_it_later_is_asked_again_until_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "PATIENCE_MS", 20)
    async with audited(tmp_path) as (found, two):
        bringing = asyncio.create_task(found.bring([wanted(LONG)], PEER, PATIENT))
        while two.them.sent.count(PAGES) < 3:
            await asyncio.sleep(0.01)
        two.source.blobs[root_of(LONG)] = LONG
        assert root_of(LONG) in await bringing


async def test_of_two_audits_that_want_a_blob_one_may_give_up_and_the_other_gets_it(tmp_path: Path) -> None:
    async with audited(tmp_path) as (found, two):
        patient = asyncio.create_task(found.bring([wanted(LONG)], PEER, PATIENT))
        with pytest.raises(Unserved):
            await found.bring([wanted(LONG)], PEER, HASTY)
        assert not patient.done() and set(found._held) == {root_of(LONG)}
        two.source.blobs[root_of(LONG)] = LONG
        assert root_of(LONG) in await patient


async def test_an_audit_that_is_called_off_fetches_nothing_more(tmp_path: Path) -> None:
    async with audited(tmp_path) as (found, two):
        bringing = asyncio.create_task(found.bring([wanted(LONG)], PEER, PATIENT))
        while PAGES not in two.them.sent:
            await asyncio.sleep(0)
        bringing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bringing
        assert two.blobs._done == {} and found._coming == {} and not found._held


# ---- Room


async def test_what_no_audit_holds_makes_room_the_oldest_first(tmp_path: Path) -> None:
    several = [blob_of(0.5, seed) for seed in range(4)]
    found = AuditBlobs(tmp_path, Memory.of(*several), 3 * len(several[0]))
    for age, blob in enumerate(several[:3]):
        path = (await found.bring([wanted(blob)], PEER, PATIENT))[root_of(blob)]
        os.utime(path, (age, age))
    found.release(map(root_of, several[1:3]))
    await found.bring([wanted(several[3])], PEER, PATIENT)
    assert names(tmp_path) == {root_of(several[at]).hex() for at in (0, 2, 3)}


async def test_an_audit_that_does_not_fit_is_told_how_much_it_needs_and_costs_the_others_nothing(
    tmp_path: Path,
) -> None:
    found = AuditBlobs(tmp_path, Memory.of(SHORT, LONG), len(SHORT) + len(LONG) - 1)
    await found.bring([wanted(SHORT)], PEER, PATIENT)
    with pytest.raises(NoRoom, match=f"raise it to at least {len(SHORT) + len(LONG)}"):
        await found.bring([wanted(LONG)], PEER, PATIENT)
    assert names(tmp_path) == {root_of(SHORT).hex()} and set(found._held) == {root_of(SHORT)}
    found.budget += 1
    assert len(await found.bring([wanted(SHORT), wanted(LONG)], PEER, PATIENT)) == 2


async def test_what_is_neither_in_use_nor_named_by_an_open_audit_goes(tmp_path: Path) -> None:
    several = [blob_of(0.2, seed) for seed in range(3)]
    found = AuditBlobs(tmp_path, Memory.of(*several), ROOM)
    await found.bring(map(wanted, several), PEER, PATIENT)
    found.release(map(root_of, several[1:]))
    part = tmp_path / f"{root_of(several[2]).hex()}.0123.partial"
    part.write_bytes(b"of an earlier fetch")
    assert found.prune({root_of(several[1])}) == 2
    assert names(tmp_path) == {root_of(each).hex() for each in several[:2]}


async def test_two_audits_that_share_a_blob_give_it_back_one_by_one(tmp_path: Path) -> None:
    found = AuditBlobs(tmp_path, Memory.of(SHORT), ROOM)
    for _ in range(2):
        await found.bring([wanted(SHORT)], PEER, PATIENT)
    found.release([root_of(SHORT)])
    assert found.prune(()) == 0
    found.release([root_of(SHORT)])
    assert found.prune(()) == 1 and found.find(root_of(SHORT)) is None


def refusing(error: int) -> Callable[..., object]:
    def refuse(*_: object, **__: object) -> object:
        raise OSError(error, os.strerror(error))

    return refuse


async def test_a_disk_that_cannot_be_written_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = AuditBlobs(tmp_path, Memory.of(SHORT), ROOM)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refusing(errno.ENOSPC))
        with pytest.raises(NoRoom, match="the disk is full: free some space"):
            await found.bring([wanted(SHORT)], PEER, PATIENT)
    assert not found._held
    assert len(await found.bring([wanted(SHORT)], PEER, PATIENT)) == 1
    assert names(tmp_path) == {root_of(SHORT).hex()}
