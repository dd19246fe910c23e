"""Commands that sign, against a real node in this process: its ledger, its mempool, its API."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.address import to_text
from chain.crypto import ecdsa
from chain.genesis import Network
from chain.transactions import Transaction
from tests.node.lone_node import IDENTITY
from tests.node.served import ROUND_MS, Served, a_transfer, make_past, serving, signed
from tests.wallet.people import Person, a_session, a_wallet, typed
from wallet.amounts import plain_amount
from wallet.commands.money import _in_time
from wallet.errors import BadValue, CommandError, NodeAway, NotConfirmed, OtherChain, Refused, WalletError
from wallet.session import Session
from wallet.signing import bond_action, described

pytestmark = pytest.mark.usefixtures("cheap")

GIFT = 3_000_000
PARAMS = {"stake_minimum_nanos": 1_000, "unbonding_epochs": 1, "rate_batch_nanos": 50_000_000}
FAST = "--max-fee 10 --tip 0"


def rich_past(folder: Path) -> Network:
    return make_past(folder, **PARAMS)


@dataclass
class Users:
    """Alice, who has been paid, and Bob; commands run in a thread, as they would beside a node."""

    served: Served
    alice: Session
    bob: Session

    async def do(self, line: str, who: Session | None = None) -> dict[str, Any]:
        return (await self.see(line, who))[0]

    async def see(self, line: str, who: Session | None = None) -> tuple[dict[str, Any], str]:
        return await asyncio.to_thread(typed, who or self.alice, line)

    async def refused(self, line: str, why: type[WalletError], words: str) -> None:
        with pytest.raises(why, match=words):
            await self.do(line)

    async def balance(self, who: Session) -> int:
        return int((await self.do("balance", who))["accounts"][0]["balance_nanos"])


@asynccontextmanager
async def users(folder: Path) -> AsyncIterator[Users]:
    async with serving(folder / "node", past=rich_past) as served:
        sessions = []
        for name in ("alice", "bob"):
            a_wallet(folder / name)
            sessions.append(a_session(folder / name, Person(), served.address))
        found = Users(served, *sessions)
        alice, bob = (each.account().address for each in sessions)
        found.alice.folder.add_name("bob", bob)
        state = served.node.store.state()
        nonce = state.account(IDENTITY.address).nonce
        reply = await served.submit(a_transfer(served.network, nonce, GIFT, payee=alice))
        assert reply.status == 202, reply.body
        async with served.blocks():
            await served.until(f"/v1/accounts/{to_text(alice)}", lambda found: found["balance_nanos"] == str(GIFT))
        yield found


def person(session: Session) -> Person:
    assert isinstance(session.ui, Person)
    return session.ui


async def test_what_is_confirmed_is_what_is_signed_and_what_arrives(tmp_path):
    async with users(tmp_path) as all_:
        async with all_.served.blocks():
            done, page = await all_.see("send bob 0.0005 --tip 2")
        assert done["status"] == "final" and f"Final in block {done['height']:,}" in page
        [shown] = person(all_.alice).confirmed
        assert shown["amount"] == "0.0005 NEURO" and shown["to"] == f"{all_.bob.account().address_text} (bob)"
        assert shown["id"] == done["id"]
        found = await all_.served.get(f"/v1/transactions/{done['id']}")
        assert found["tip_nanos"] == "2" and found["action"]["amount_nanos"] == "500000"
        raw = Transaction.decode(bytes.fromhex(found["transaction"])).signing_bytes()
        assert dict(described(raw, all_.served.network.chain_id))["id"] == done["id"]
        assert await all_.balance(all_.bob) == 500_000
        spent = GIFT - await all_.balance(all_.alice)
        assert 500_000 < spent <= int(done["cost_maximum_nanos"])


async def test_who_says_no_or_cannot_be_asked_signs_nothing(tmp_path):
    async with users(tmp_path) as all_:
        all_.alice.ui.says = False
        await all_.refused("send bob 0.0005", NotConfirmed, "nothing was signed")
        all_.alice.ui.says = None
        await all_.refused("send bob 0.0005", NotConfirmed, "--yes")
        assert (await all_.do("pending"))["sent"] == []
        assert (await all_.do("send bob 0.0005 --yes --no-wait"))["status"] == "waiting"


async def test_all_leaves_nothing_but_what_the_fee_did_not_use(tmp_path):
    async with users(tmp_path) as all_:
        async with all_.served.blocks():
            await all_.do("send bob all --max-fee 10 --tip 10")
        assert await all_.balance(all_.alice) == 0  # a tip up to the greatest fee uses all of it
        await all_.refused("send bob all", CommandError, "which the fee uses up")


async def test_all_leaves_what_waits_already_its_money(tmp_path):
    async with users(tmp_path) as all_:
        first = await all_.do("send bob 0.001 --no-wait")
        async with all_.served.blocks():
            await all_.do("send bob all")
        assert (await all_.served.get(f"/v1/transactions/{first['id']}"))["status"] == "final"


async def test_more_than_there_is_is_refused_before_anything_is_signed(tmp_path):
    async with users(tmp_path) as all_:
        await all_.refused("send bob 0.003000001", CommandError, "less than 0.003000001 NEURO")
        await all_.refused("send bob 0.003", Refused, "refuses")  # the amount is there, the fee is not
        assert (await all_.do("pending"))["sent"] == []
        await all_.refused("send-many bob=0.002 bob=0.0011", CommandError, "less than 0.0031")


async def test_several_are_paid_under_one_signature(tmp_path):
    async with users(tmp_path) as all_:
        async with all_.served.blocks():
            done = await all_.do("send-many bob=0.0001 main=0.0002 --yes")
        found = await all_.served.get(f"/v1/transactions/{done['id']}")
        assert [each["amount_nanos"] for each in found["action"]["payments"]] == ["100000", "200000"]
        assert await all_.balance(all_.bob) == 100_000


async def test_a_waiting_transaction_is_hurried_and_another_one_taken_back(tmp_path):
    async with users(tmp_path) as all_:
        first = await all_.do(f"send bob 0.0001 --no-wait {FAST}")
        second = await all_.do(f"send bob 0.0002 --no-wait {FAST}")
        assert second["nonce"] == first["nonce"] + 1
        faster = await all_.do(f"speed-up {first['id'][:12]} --no-wait")
        assert faster["nonce"] == first["nonce"] and faster["id"] != first["id"]
        undone = await all_.do(f"cancel {second['id'][:12]} --no-wait --tip 20")
        states = {each["id"]: each["state"] for each in (await all_.do("pending"))["sent"]}
        replaced = dict.fromkeys((first["id"], second["id"]), "replaced")
        assert states == replaced | dict.fromkeys((faster["id"], undone["id"]), "waiting")
        async with all_.served.blocks():
            await all_.served.until(f"/v1/transactions/{undone['id']}", lambda found: found.get("status") == "final")
        content, page = await all_.see("pending")
        states = {each["id"]: each["state"] for each in content["sent"]}
        assert states[faster["id"]] == states[undone["id"]] == "final" and "cancels another one" in page
        assert await all_.balance(all_.bob) == 100_000
        await all_.refused(f"speed-up {faster['id']}", CommandError, "too late")


async def test_a_node_that_goes_away_after_the_signature_loses_nothing(tmp_path, monkeypatch):
    async with users(tmp_path) as all_:

        def gone(_raw: bytes) -> None:
            raise NodeAway("no node answers")

        client = await asyncio.to_thread(lambda: all_.alice.client)
        monkeypatch.setattr(client, "submit", gone)
        await all_.refused("send bob 0.0001", NodeAway, "kept and may have arrived")
        monkeypatch.undo()
        [kept] = (await all_.do("pending"))["sent"]
        assert kept["state"] == "lost"
        # What is sent next takes it along, as `pending --rebroadcast` would.
        second = await all_.do("send bob 0.0002 --no-wait")
        assert any("handed in again" in told for told in person(all_.alice).told)
        assert [each["state"] for each in (await all_.do("pending --rebroadcast"))["sent"]] == ["waiting"] * 2
        async with all_.served.blocks():
            await all_.served.until(f"/v1/transactions/{second['id']}", lambda found: found.get("status") == "final")
        assert await all_.balance(all_.bob) == 300_000


async def test_a_node_that_goes_away_while_somebody_waits_is_waited_for(tmp_path, monkeypatch):
    async with users(tmp_path) as all_:
        client = await asyncio.to_thread(lambda: all_.alice.client)
        asked, left = client.get, [2]

        def sometimes(path: str, query: Any = None) -> Any:
            if path.startswith("/v1/transactions") and left[0]:
                left[0] -= 1
                raise NodeAway("no node answers")
            return asked(path, query)

        monkeypatch.setattr(client, "get", sometimes)
        async with all_.served.blocks():
            assert (await all_.do("send bob 0.0001"))["status"] == "final"
        assert sum("goes on without it" in told for told in person(all_.alice).told) == 1


async def test_drafted_here_signed_without_a_network_broadcast_by_anybody(tmp_path):
    async with users(tmp_path) as all_:
        draft, signed = tmp_path / "draft.json", tmp_path / "signed.json"
        drafted = await all_.do(f"draft {draft} send bob 0.0005 --tip 3")
        offline = a_session(tmp_path / "alice", Person())
        with pytest.raises(NodeAway):
            offline.client.get("/v1/status")
        done = typed(offline, f"sign-file {draft} {signed}")[0]
        assert done["id"] == drafted["id"] and person(offline).confirmed[0]["amount"] == "0.0005 NEURO"
        with pytest.raises(CommandError, match="not signed yet"):
            await all_.do(f"broadcast {draft}")
        with pytest.raises(CommandError, match="signed already"):
            typed(offline, f"sign-file {signed} {tmp_path / 'again.json'}")
        async with all_.served.blocks():
            final = await all_.do(f"broadcast {signed}", all_.bob)
        assert final["status"] == "final" and await all_.balance(all_.bob) == 500_000
        again = await all_.do(f"broadcast {signed}")
        assert again["status"] == "final"


async def test_a_draft_can_be_made_without_a_node_and_without_a_wallet(tmp_path):
    async with users(tmp_path) as all_:
        key = all_.alice.account().public_key.hex()
        nowhere = a_session(tmp_path / "nowhere", Person(), all_.served.address)
        draft = tmp_path / "draft.json"
        to = all_.bob.account().address_text
        await all_.do(f"draft --public-key {key} --nonce 0 {draft} send {to} 0.0001 --max-fee 50", nowhere)
        typed(all_.alice, f"sign-file {draft} {tmp_path / 'signed.json'}")
        with pytest.raises(CommandError, match="none of your accounts is the sender"):
            typed(all_.bob, f"sign-file {draft} {tmp_path / 'other.json'}")
        async with all_.served.blocks():
            assert (await all_.do(f"broadcast {tmp_path / 'signed.json'}"))["status"] == "final"


async def founder_bonds(all_: Users) -> None:
    """A founder with real stake, beside whom a validator that never votes weighs little."""
    chain_id = all_.served.network.chain_id
    action = bond_action(1_000_000, IDENTITY.validator_secret, IDENTITY.address, chain_id)
    nonce = all_.served.node.store.state().account(IDENTITY.address).nonce
    key = ecdsa.public_key(IDENTITY.wallet_secret)
    transaction = Transaction(key, nonce, 100, 0, action, bytes(64))
    assert (await all_.served.submit(signed(all_.served.network, transaction, IDENTITY.wallet_secret))).status == 202
    await all_.served.until("/v1/status", lambda found: int(found["total_power_nanos"]) > 10_000)


async def test_rewards_that_vest_are_told_with_the_time_that_it_takes(tmp_path):
    async with users(tmp_path) as all_:
        _, page = await all_.see(f"balance {all_.served.node.address_text}")
        status = await all_.served.get("/v1/status")
        rounds = [int(each) for each in re.findall(r"of round \d+, free after round (\d+), in about", page)]
        seconds = [int(each) for each in re.findall(r"in about (\d+) s", page)]
        assert rounds and seconds == [(each - status["round"] + 1) * ROUND_MS // 1_000 for each in rounds]
        all_.alice.seen.round_ms = None
        assert _in_time(99, all_.alice.seen) == ""


async def test_stake_goes_in_comes_out_and_is_withdrawn_when_its_time_is_over(tmp_path):
    async with users(tmp_path) as all_:
        await all_.refused("unbond all", CommandError, "0 NEURO are bonded")
        await all_.refused("withdraw", CommandError, "nothing is unbonding")
        await all_.refused("unjail", CommandError, "not jailed")
        async with all_.served.blocks():
            await founder_bonds(all_)
            await all_.refused("bond 0.000000999", Refused, "minimum")
            await all_.do("bond 0.000001")
            content, page = await all_.see("validator")
            assert content["stake"]["bonded_nanos"] == "1000" and "0.000001 NEURO" in page
            await all_.refused("unbond 0.000001001", CommandError, "0.000001 NEURO are bonded")
            await all_.do("unbond all --yes")
            path = f"/v1/accounts/{all_.alice.account().address_text}"
            found = await all_.served.until(path, lambda found: found["stake"]["unbonding"])
            assert "unbonding" in (await all_.see("balance"))[1]
            ready = found["stake"]["unbonding"][0]["ready_epoch"]
            await all_.served.until("/v1/status", lambda found: found["epoch"] >= ready)
            await all_.do("withdraw --yes")
        content, page = await all_.see("history")
        assert [each["kind"] for each in content["entries"] if each["id"]] == [
            *("withdrawn", "unbonded", "bonded", "received")
        ]
        assert "+0.003 NEURO" in page
        assert all(
            f" {plain_amount(int(each['fee_nanos']))} " in page for each in content["entries"] if each["fee_nanos"]
        )
        fees = sum(int(each["fee_nanos"] or 0) for each in content["entries"] if each["kind"] != "received")
        assert await all_.balance(all_.alice) == GIFT - fees


async def test_accounts_have_money_of_their_own(tmp_path):
    async with users(tmp_path) as all_:
        added = await all_.do("accounts add savings")
        async with all_.served.blocks():
            await all_.do("send savings 0.001")
        content, page = await all_.see("balance")
        assert [each["label"] for each in content["accounts"]] == ["main", "savings"] and "In all" in page
        assert content["accounts"][1]["balance_nanos"] == "1000000"
        async with all_.served.blocks():
            done = await all_.do("send main 0.0005 --account savings")
        found = await all_.served.get(f"/v1/transactions/{done['id']}")
        assert found["sender"] == added["address"]


async def test_a_folder_of_one_network_refuses_a_node_of_another(tmp_path):
    async with users(tmp_path) as all_:
        await all_.do("status")
        all_.alice.folder.remember_chain(all_.served.address, bytes(32))
        stranger = a_session(tmp_path / "alice", Person(), all_.served.address)
        with pytest.raises(OtherChain, match="forget-chain"):
            await all_.do("balance", stranger)
        await all_.do("settings forget-chain", stranger)
        assert (await all_.do("balance", stranger))["accounts"]
        (tmp_path / "alice" / "network").write_bytes(b"\x01\x01 of somebody else")
        with pytest.raises(OtherChain, match="name another node"):
            await all_.do("balance", a_session(tmp_path / "alice", Person(), all_.served.address))


async def test_what_the_network_does_is_told_to_people_and_programs(tmp_path):
    async with users(tmp_path) as all_:
        for line in ("status", "rounds", "rounds 1", "audit", "validators", "validator", "history", "nodes", "receive"):
            content, page = await all_.see(line)
            assert content and page.strip(), line
        await all_.refused("audit 1", Refused, "have left the state")
        rounds = (await all_.do("rounds --limit 5"))["rounds"]
        ended = next(each for each in rounds if each["phase"] == "closed" and each["nodes"])
        node = ended["nodes"][0]["node"]
        content, page = await all_.see(f"proof {ended['round']} {node[:8]}")
        assert content["node"] == node and content["headline"][:20] in page
        await all_.refused("proof 9999 abcd", Refused, "refuses")


async def test_the_nodes_that_earn_for_an_address_are_told(tmp_path):
    async with users(tmp_path) as all_:
        owner = to_text(IDENTITY.address)
        content, page = await all_.see(f"nodes {owner}")
        assert [each["wallet"] for each in content["nodes"]] == [owner] and IDENTITY.node.hex()[:16] in page
        assert all_.alice.seen.nodes == (IDENTITY.node.hex(),)
        content, page = await all_.see("earnings")
        assert content["days"] == [] and "Nothing was earned" in page


async def test_a_suggested_fee_beyond_reason_has_to_be_said_by_the_user(tmp_path, monkeypatch):
    async with users(tmp_path) as all_:
        client = await asyncio.to_thread(lambda: all_.alice.client)
        asked = client.get

        def greedy(path: str, query: Any = None) -> Any:
            answer = asked(path, query)
            if path == "/v1/fees":
                answer.raw = {**answer.raw, "suggested_max_fee_nanos": "100001"}
            return answer

        monkeypatch.setattr(client, "get", greedy)
        await all_.refused("send bob 0.0001 --yes", CommandError, "which is a lot")
        await all_.refused("send bob 0.0001 --yes --tip 3", CommandError, "which is a lot")
        assert (await all_.do("send bob 0.0001 --yes --no-wait --tip 0 --max-fee 20"))["id"]
        await all_.refused("send bob 0.0001 --yes --tip 21 --max-fee 20", BadValue, "part of --max-fee")
