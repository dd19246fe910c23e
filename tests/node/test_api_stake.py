"""What the API tells of stake and validators is what stands on the ledger, for every kind of transaction."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chain.address import to_text
from chain.block import Header
from chain.crypto import bls, ecdsa
from chain.crypto.votes import Evidence, evidence_of
from chain.genesis import Network, genesis_state
from chain.money import NEURO
from chain.receipts import AutoBonded, Jailed, Minted, StakeLeft, Tombstoned
from chain.stakes import Stake, ValidatorKey, stake_key, stake_of, staking, validator_key
from chain.transactions import (
    ACTIONS,
    Action,
    Bond,
    MultiTransfer,
    Payment,
    RegisterNode,
    RetireNode,
    ServicePayment,
    Transaction,
    Transfer,
    Unbond,
    Unjail,
    Withdraw,
    bond_consent,
    node_farewell,
)
from chain.transition import Applied
from chain.tree import StateProof, is_proven
from consensus.messages import NOTARIZE, Vote, vote_message
from node.api.action_answers import ACTION_NAMES, action_fields
from node.api.events import stake_change
from node.api.routes import ROUTES
from node.api.validator_answers import member_fields
from node.commands.status import show
from node.data_directory import DataDirectory
from node.facts import ACTIVE
from node.identity import Identity
from node.key_value import open_key_value
from tests.node.lone_node import IDENTITY, LoneNode, named, tiny_network
from tests.node.served import PAYEE, Served, address_of_secret, remember_votes, serving, signed
from tests.node.test_api_events import listening, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
# A second wallet with a validator.
GUEST_SECRET = 286  # the first whose public key is above the founder's, so that it has the second place
GUEST = Identity(named("guest"), named("guest's node"), GUEST_SECRET.to_bytes(32, "big"))
OWN, OTHERS = to_text(IDENTITY.address), to_text(GUEST.address)
RICH = {"rate_batch_nanos": 250 * NEURO, "unbonding_epochs": 2, "stake_target_nanos": 400 * NEURO}
EARNING = {"rate_batch_nanos": 75 * NEURO // 4}


# ---- A ledger on which everything has happened


def say(node: LoneNode, *actions: Action, by: Identity = IDENTITY) -> Applied:
    """A block that takes these, in their order."""
    nonce = node.state.account(by.address).nonce
    for offset, action in enumerate(actions):
        fees = (0, 0) if isinstance(action, RegisterNode) else (100, 0)
        draft = Transaction(by.wallet_public_key, nonce + offset, *fees, action, bytes(64))
        node.mempool.add(signed(node.network, draft, by.wallet_secret), node.state)
    applied = node.block()
    assert len(applied.block.body.transactions) == len(actions)
    return applied


def end_epoch(node: LoneNode) -> None:
    """Up to the first block of the next epoch."""
    epoch = node.view.tip.epoch
    while node.view.tip.epoch == epoch:
        node.block()


def double_vote(network: Network, epoch: int) -> Evidence:
    """The guest votes for two blocks in one view."""

    def vote(block: str) -> Vote:
        message = vote_message(network.chain_id, NOTARIZE, epoch, 1, named(block))
        return Vote(NOTARIZE, epoch, 1, named(block), 1, bls.sign(GUEST.validator_secret, message))

    return evidence_of(vote("one"), vote("other"))


def a_bond(network: Network, by: Identity, amount: int) -> Bond:
    consent = bond_consent(network.chain_id, by.validator_public_key, by.address)
    return Bond(amount, by.validator_public_key, bls.sign(by.validator_secret, consent))


def farewell(network: Network) -> RetireNode:
    digest = node_farewell(network.chain_id, GUEST.node_public_key, GUEST.wallet_public_key)
    return RetireNode(GUEST.node_public_key, ecdsa.sign(GUEST.node_secret, digest))


def stake_past(folder: Path) -> Network:
    """A founder who staked, a guest who staked and voted twice; it ends in the epoch of the evidence."""
    directory = DataDirectory(folder)
    directory.create()
    database = open_key_value(directory / "ledger")
    node = LoneNode(folder, tiny_network(**RICH), database, validator=True)
    node.register()
    while not stake_of(node.state, IDENTITY.address).power:
        node.close_round()
    bond, own_bond = a_bond(node.network, GUEST, 150 * NEURO), a_bond(node.network, IDENTITY, 60 * NEURO)
    payments = (Payment(GUEST.address, 300 * NEURO), Payment(address_of_secret(PAYEE), 7))
    say(node, MultiTransfer(payments), own_bond)
    say(node, GUEST.registration(0, 0, False, node.network.chain_id).action, farewell(node.network), bond, by=GUEST)
    for _ in range(2):
        end_epoch(node)
    say(node, Unbond(20 * NEURO))
    for _ in range(4):
        end_epoch(node)
    say(node, Withdraw(), Unbond(10 * NEURO), ServicePayment(GUEST.address, 1_000, named("reference")))
    end_epoch(node)
    say(node, double_vote(node.network, node.view.tip.epoch))
    remember_votes(folder, say(node, Unbond(5 * NEURO), Transfer(GUEST.address, 11)))
    database.close()
    return node.network


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("stake") / "home", past=stake_past) as found:
        yield found


# ---- Transactions


def one_of_each() -> list[Action]:
    network = tiny_network()
    return [
        Transfer(GUEST.address, 1),
        MultiTransfer((Payment(GUEST.address, 1), Payment(IDENTITY.address, 2**128 - 1))),
        GUEST.registration(0, 0, True, network.chain_id).action,
        farewell(network),
        Bond(0, GUEST.validator_public_key, bytes(96)),
        Unbond(3),
        Withdraw(),
        Unjail(),
        double_vote(network, 9),
        ServicePayment(GUEST.address, 4, named("reference")),
    ]


async def test_every_type_of_transaction_has_a_name_and_an_answer_of_the_documented_form() -> None:
    schema = next(route for route in ROUTES if route.name == "transaction").answer
    assert schema is not None
    form = schema().fields["action"].schema  # type: ignore[attr-defined]
    told = {type(action): action_fields(action) for action in one_of_each()}
    assert set(told) == set(ACTIONS.values()) == set(ACTION_NAMES)
    for kind, fields in told.items():
        assert form.validate(fields) == {}, kind
        assert fields["type"] == ACTION_NAMES[kind]


async def test_a_field_that_a_type_does_not_have_is_null() -> None:
    filled = {
        action_fields(action)["type"]: {name for name, value in action_fields(action).items() if value is not None}
        for action in one_of_each()
    }
    assert filled == {
        "transfer": {"type", "payee", "amount_nanos"},
        "multi_transfer": {"type", "payments"},
        "register_node": {"type", "node_key", "validator_intent"},
        "retire_node": {"type", "node_key"},
        "bond": {"type", "amount_nanos", "validator_key"},
        "unbond": {"type", "amount_nanos"},
        "withdraw": {"type"},
        "unjail": {"type"},
        "evidence": {"type", "evidence"},
        "service_payment": {"type", "payee", "amount_nanos", "reference"},
    }


async def test_amounts_are_decimal_strings_up_to_the_largest() -> None:
    [_, largest] = action_fields(one_of_each()[1])["payments"]
    assert largest == {"payee": OWN, "amount_nanos": "340282366920938463463374607431768211455"}


async def test_the_transactions_of_both_wallets_are_told_with_what_they_said(served: Served) -> None:
    own = [each["action"] for each in await served.walked(f"/v1/accounts/{OWN}/transactions", "transactions")]
    assert Counter(action["type"] for action in own) == {
        **{"register_node": 1, "bond": 2, "multi_transfer": 1, "unbond": 3, "withdraw": 1},
        **{"service_payment": 1, "evidence": 1, "transfer": 1},
    }
    assert {action["amount_nanos"] for action in own if action["type"] == "bond"} == {str(60 * NEURO), "0"}
    payee = to_text(address_of_secret(PAYEE))
    paid = {"payee": OTHERS, "amount_nanos": str(300 * NEURO)}, {"payee": payee, "amount_nanos": "7"}
    [multi] = await served.walked(f"/v1/accounts/{payee}/transactions", "transactions")
    assert multi["action"]["payments"] == list(paid) and multi["sender"] == OWN
    [evidence] = [action["evidence"] for action in own if action["type"] == "evidence"]
    assert (evidence["signer"], evidence["view"]) == (1, 1)
    assert {vote["block_hash"] for vote in evidence["votes"]} == {named("one").hex(), named("other").hex()}
    assert {vote["kind"] for vote in evidence["votes"]} == {"notarize"}
    guest = [each["action"] for each in await served.walked(f"/v1/accounts/{OTHERS}/transactions", "transactions")]
    kinds = {action["type"]: action for action in guest}
    assert set(kinds) == {"multi_transfer", "register_node", "retire_node", "bond", "service_payment", "transfer"}
    key = GUEST.node_public_key.hex()
    assert kinds["register_node"]["node_key"] == kinds["retire_node"]["node_key"] == key
    assert kinds["register_node"]["validator_intent"] is False


async def test_every_answer_of_this_ledger_has_the_documented_form(served: Served) -> None:
    forms = {route.name: route.answer for route in ROUTES if route.answer is not None}
    asked = [("validators", "/v1/validators"), ("status", "/v1/status")]
    asked += [("account", f"/v1/accounts/{address}") for address in (OWN, OTHERS)]
    asked += [("block", f"/v1/blocks/{height}") for height in range(1, served.node.store.height + 1)]
    for name, path in asked:
        assert forms[name]().validate(await served.get(path)) == {}, path


# ---- Accounts


def proven(account: Any, address: bytes) -> Stake:
    """The stake that the proof shows to a client."""
    told = account["stake"]["proof"]
    header = Header.decode(bytes.fromhex(account["proof"]["header"]))
    value = None if told["value"] is None else bytes.fromhex(told["value"])
    proof = StateProof.decode(bytes.fromhex(told["state_proof"]))
    assert told["key"] == stake_key(address).hex() and told["state_root"] == header.state_root.hex()
    assert is_proven(header.state_root, stake_key(address), value, proof)
    assert value is None or not is_proven(header.state_root, stake_key(address), None, proof)
    return Stake() if value is None else Stake.decode(value)


async def test_an_account_tells_its_stake_and_proves_it(served: Served) -> None:
    account = await served.get(f"/v1/accounts/{OWN}")
    told, stake = account["stake"], stake_of(served.node.store.state(), IDENTITY.address)
    assert proven(account, IDENTITY.address) == stake
    # 100 were bonded by the ledger and 60 by hand; 20 were withdrawn, 10 have left, 5 are leaving.
    assert (told["bonded_nanos"], told["leaving_nanos"]) == (str(130 * NEURO), str(5 * NEURO))
    assert told["power_nanos"] == str(130 * NEURO) == str(stake.power)
    [ready] = stake.exits
    assert told["unbonding"] == [{"amount_nanos": str(10 * NEURO), "ready_epoch": ready}]
    assert (told["jailed_until_epoch"], told["banned"]) == (None, False)
    assert told["validator_key"] == IDENTITY.validator_public_key.hex()


async def test_the_account_of_a_banned_validator_says_so(served: Served) -> None:
    account = await served.get(f"/v1/accounts/{OTHERS}")
    stake = proven(account, GUEST.address)
    assert stake.tombstoned and account["stake"]["banned"] is True
    assert account["stake"]["leaving_nanos"] == account["stake"]["bonded_nanos"] == str(stake.bonded)
    assert stake.bonded < 150 * NEURO and account["nodes"] == []


async def test_an_account_without_stake_proves_that_it_has_none(served: Served) -> None:
    payee = address_of_secret(PAYEE)
    account = await served.get(f"/v1/accounts/{to_text(payee)}")
    assert proven(account, payee) == Stake() and account["stake"]["proof"]["value"] is None
    rest = {name: value for name, value in account["stake"].items() if name != "proof"}
    assert rest == {
        "bonded_nanos": "0",
        "leaving_nanos": "0",
        "power_nanos": "0",
        "unbonding": [],
        "jailed_until_epoch": None,
        "banned": False,
        "validator_key": None,
    }


# ---- Validators


async def test_the_set_of_the_running_epoch_is_listed_in_its_order(served: Served) -> None:
    state, page = served.node.store.state(), await served.get("/v1/validators")
    epoch = served.node.view.tip.epoch
    members = state.validators(epoch)
    assert (page["epoch"], page["total_power_nanos"], page["next_cursor"]) == (epoch, str(members.power), None)
    founder, guest = page["validators"]
    assert [founder["validator_key"], guest["validator_key"]] == [each.public_key.hex() for each in members.members]
    assert (founder["founder"], founder["wallet"]) == (True, OWN) and (guest["founder"], guest["wallet"]) == (
        False,
        OTHERS,
    )
    phantom = staking(state).phantom
    assert phantom and (founder["real_power_nanos"], founder["phantom_power_nanos"]) == (str(130 * NEURO), str(phantom))
    assert (guest["real_power_nanos"], guest["phantom_power_nanos"]) == (str(150 * NEURO), "0")
    shares = [member.power * 10_000 // members.power for member in members.members]
    assert [each["share_basis_points"] for each in page["validators"]] == shares
    assert [each["banned"] for each in page["validators"]] == [False, True]


async def test_who_signed_how_much_of_the_epoch_is_told(served: Served) -> None:
    page = await served.get("/v1/validators")
    header = served.node.store.tip()
    carried = header.height - header.epoch * served.network.params.epoch_blocks - 1
    assert page["counted"] == carried > 0
    assert [each["signed"] for each in page["validators"]] == [carried, 0]


async def test_the_set_is_walked_page_by_page(served: Served) -> None:
    whole = (await served.get("/v1/validators"))["validators"]
    assert await served.walked("/v1/validators", "validators", limit=1) == whole
    first = await served.get("/v1/validators?limit=1")
    assert first["next_cursor"] == "1" and [each["place"] for each in whole] == [0, 1]
    beyond = await served.get("/v1/validators?cursor=1024")
    assert beyond["validators"] == [] and beyond["next_cursor"] is None
    assert (await served.ask("/v1/validators?cursor=1025")).status == 400


async def test_a_founder_without_stake_has_no_wallet_and_phantom_power_alone(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as other:
        [founder] = (await other.get("/v1/validators"))["validators"]
        assert (founder["founder"], founder["wallet"], founder["share_basis_points"]) == (True, None, 10_000)
        assert (founder["real_power_nanos"], founder["phantom_power_nanos"]) == ("0", str(100 * NEURO))
        account = await other.get(f"/v1/accounts/{OWN}")
        assert account["stake"]["validator_key"] is None


async def test_a_banned_founder_without_stake_keeps_phantom_power_until_the_epoch_ends() -> None:
    network = tiny_network()
    state = genesis_state(network)
    state.put(validator_key(IDENTITY.validator_public_key), ValidatorKey(IDENTITY.address, True))
    members = state.validators(0)
    told = member_fields(state, network, 0, members.members[0], members.power)
    assert (told["banned"], told["wallet"], told["founder"]) == (True, None, True)
    assert (told["real_power_nanos"], told["phantom_power_nanos"]) == ("0", str(100 * NEURO))


async def test_the_status_counts_what_all_have_at_stake(served: Served) -> None:
    status, supply = await served.get("/v1/status"), served.node.store.state().supply
    assert (status["total_bonded_nanos"], status["total_unbonding_nanos"]) == (
        str(supply.bonded),
        str(supply.unbonding),
    )
    assert (status["validators"], status["self_verified"], status["phase"]) == (2, False, "handover")
    assert (status["bonded_nanos"], status["unbonding_nanos"]) == (str(130 * NEURO), str(10 * NEURO))
    assert status["validator"] == ACTIVE and status["active_maximum_nanos"] == str(100 * NEURO)


async def test_the_status_command_shows_phase_stake_and_validator(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = served.node.home.directory.root
    await asyncio.to_thread(show, folder, False)
    glance, empty, *lines = capsys.readouterr().out.splitlines()
    told = dict(line.split(None, 1) for line in lines)
    assert glance == told["round_line"].rstrip() and not empty and glance.startswith(f"round {told['round']} ")
    assert (told["phase"], told["validator"], told["bonded_nanos"]) == ("handover", ACTIVE, str(130 * NEURO))
    assert (told["phantom_nanos"], told["validators"]) == (str(75 * NEURO), "2")


# ---- Receipts


async def test_every_receipt_of_stake_is_told_as_an_event() -> None:
    wallet = GUEST.address
    assert stake_change(AutoBonded(wallet, 5)) == {"kind": "auto_bonded", "wallet": OTHERS, "amount_nanos": "5"}
    left = {"kind": "stake_left", "wallet": OTHERS, "amount_nanos": "6", "ready_epoch": 7}
    assert stake_change(StakeLeft(wallet, 6, 7)) == left
    assert stake_change(Jailed(wallet, 9)) == {"kind": "jailed", "wallet": OTHERS, "until_epoch": 9}
    key = GUEST.validator_public_key
    assert stake_change(Tombstoned(key, 8, IDENTITY.address, 1)) == {
        "kind": "banned",
        "validator_key": key.hex(),
        "lost_nanos": "8",
        "reporter": OWN,
        "reward_nanos": "1",
    }
    assert stake_change(Minted(1, named("node"), wallet, 1)) is None


def one_reward(folder: Path) -> Network:
    """A declared node whose first reward still vests; its rounds become void soon."""
    directory = DataDirectory(folder)
    directory.create()
    database = open_key_value(directory / "ledger")
    node = LoneNode(folder, tiny_network(train_blocks=4, **EARNING), database, validator=True)
    node.register()
    node.close_round()
    remember_votes(folder, node.block())
    database.close()
    return node.network


async def test_a_stream_tells_when_a_released_reward_is_bonded(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", past=one_reward) as node, listening(node) as stream:
        async with node.blocks():
            told = (await until(stream, "stake"))["stake"]
        bonded = node.node.store.state().supply.bonded
        assert told["count"] == 1 and 0 < bonded < 75 * NEURO
        assert told["changes"] == [{"kind": "auto_bonded", "wallet": OWN, "amount_nanos": str(bonded)}]
        assert told["height"] <= node.node.store.height


# ---- A node that wants to validate


def almost_there(folder: Path) -> Network:
    """A declared node whose stake has just reached the minimum; its key is not named yet."""
    directory = DataDirectory(folder)
    directory.create()
    database = open_key_value(directory / "ledger")
    node = LoneNode(folder, tiny_network(**EARNING), database, validator=True)
    node.register()
    node.declarations.candidacy = None
    while node.state.supply.bonded < node.network.params.stake_minimum_nanos:
        node.close_round()
    remember_votes(folder, node.block())
    database.close()
    return node.network


async def test_a_node_with_validator_intent_becomes_a_validator_and_its_status_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", past=almost_there, validator=True) as node:
        before = await node.get("/v1/status")
        assert (before["validator"], before["bonded_nanos"]) == (ACTIVE, str(100 * NEURO))  # as a founder
        async with node.blocks():
            await node.until("/v1/status", lambda status: status["phase"] == "handover")
        [own] = (await node.get("/v1/validators"))["validators"]
        assert (own["wallet"], own["real_power_nanos"]) == (OWN, str(100 * NEURO))


async def test_a_node_without_it_names_no_key(tmp_path: Path) -> None:
    async with serving(tmp_path / "home", past=almost_there) as node:
        height = node.node.store.height
        async with node.blocks():
            await node.until("/v1/status", lambda status: status["height"] > height + 8)
        account = await node.get(f"/v1/accounts/{OWN}")
        assert account["stake"]["validator_key"] is None
