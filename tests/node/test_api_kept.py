"""An answer is told again only as long as it is true, and what is kept is bounded."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from chain.address import to_text
from node.api.kept import BYTES_MAXIMUM, ENTRIES_MAXIMUM, LEDGER, MOMENT, WAITING, Kept
from node.api.routes import ROUTES
from tests.node.lone_node import IDENTITY
from tests.node.served import WIDE, Served, a_transfer, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
OWN = to_text(IDENTITY.address)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Answers of a moment stay for an hour here."""
    async with serving(tmp_path_factory.mktemp("kept") / "home", replace(WIDE, kept_seconds=3_600)) as found:
        yield found


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_an_answer_is_found_in_the_state_of_which_it_was_made_and_in_no_other() -> None:
    kept = Kept(1.0, Clock())
    kept.keep("/a", 7, b"seven", False)
    assert kept.find("/a", 7) == b"seven" and kept.find("/a", 8) is None and kept.find("/b", 7) is None
    kept.keep("/a", 8, b"eight", False)
    assert kept.find("/a", 8) == b"eight" and kept.find("/a", 7) is None and len(kept) == 1


async def test_an_answer_of_a_moment_is_gone_after_it() -> None:
    clock = Clock()
    kept = Kept(1.0, clock)
    kept.keep("/a", 7, b"now", True)
    kept.keep("/b", 7, b"always", False)
    clock.now = 0.999
    assert kept.find("/a", 7) == b"now"
    clock.now = 1.0
    assert kept.find("/a", 7) is None and kept.find("/b", 7) == b"always"


async def test_neither_many_nor_large_answers_take_more_than_their_room() -> None:
    kept = Kept(1.0, Clock())
    for number in range(2 * ENTRIES_MAXIMUM):
        kept.keep(f"/{number}", 1, b"x", False)
    assert len(kept) == ENTRIES_MAXIMUM and kept.find("/0", 1) is None
    assert kept.find(f"/{2 * ENTRIES_MAXIMUM - 1}", 1) == b"x"
    large = bytes(BYTES_MAXIMUM // 4 - 10)
    for number in range(10):
        kept.keep(f"/{number}", 1, large, False)
        assert kept.bytes <= BYTES_MAXIMUM
    kept.keep("/huge", 1, bytes(BYTES_MAXIMUM // 4), False)
    assert kept.find("/huge", 1) is None and kept.find("/9", 1) == large
    assert kept.bytes == sum(len(asked) + len(entry.body) for asked, entry in kept._entries.items())


async def test_every_kind_of_keeping_is_known_and_what_is_the_operators_is_never_kept() -> None:
    assert {route.keep for route in ROUTES} == {"", LEDGER, WAITING, MOMENT}
    for route in ROUTES:
        assert not route.keep or (route.method == "GET" and not route.is_operators), route.path
    assert {route.name for route in ROUTES if not route.keep} >= {"health", "peers", "metrics", "events", "submit"}


async def test_what_is_asked_again_in_the_same_block_is_not_made_again(served: Served) -> None:
    first = await served.get("/v1/blocks?limit=3")
    desk = served.api.desk

    async def broken(_: object) -> bytes:
        raise AssertionError("it was made again")

    whole, desk.reads.encoded = desk.reads.encoded, broken  # type: ignore[method-assign]
    assert await served.get("/v1/blocks?limit=3") == first
    desk.reads.encoded = whole  # type: ignore[method-assign]
    assert (await served.get("/v1/blocks?limit=2"))["blocks"] == first["blocks"][:2]


async def test_after_a_block_the_ledger_is_told_anew(served: Served) -> None:
    height = (await served.get("/v1/blocks?limit=1"))["blocks"][0]["height"]
    status = await served.get("/v1/status")
    async with served.blocks():
        await served.until("/v1/blocks?limit=1", lambda found: found["blocks"][0]["height"] > height)
        fees = await served.until("/v1/fees", lambda found: found["height"] > height)
    assert fees["height"] > height and status["height"] == height
    assert (await served.get("/v1/status"))["height"] > height  # a block ends the moment, too


async def test_a_transaction_that_comes_in_is_told_at_once(served: Served) -> None:
    state = served.node.store.state()
    transaction = a_transfer(served.network, state.account(IDENTITY.address).nonce, 3)
    identity = transaction.id(served.network.chain_id).hex()
    assert (await served.ask(f"/v1/transactions/{identity}")).status == 404
    assert (await served.get("/v1/fees"))["waiting_transactions"] == 0
    assert (await served.get(f"/v1/search?q={identity}"))["found"] == []
    before = await served.get(f"/v1/accounts/{OWN}")
    assert (await served.submit(transaction)).status == 202
    assert (await served.get(f"/v1/transactions/{identity}"))["status"] == "waiting"
    assert (await served.get("/v1/fees"))["waiting_transactions"] == 1
    assert len((await served.get(f"/v1/search?q={identity}"))["found"]) == 1
    assert (await served.get(f"/v1/accounts/{OWN}"))["nonce"] == before["nonce"]


async def test_a_refusal_is_not_kept(served: Served) -> None:
    count = len(served.api.desk.kept)
    for path in ("/v1/blocks/0", "/v1/blocks/1000000", "/v1/search", "/v1/blocks?limit=0"):
        assert (await served.ask(path)).status >= 400
    assert len(served.api.desk.kept) == count
