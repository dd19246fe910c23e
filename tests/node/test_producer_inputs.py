"""What a block takes of the words that wait: nobody's useless ones keep others out of it."""

from dataclasses import replace
from typing import Any, cast

import pytest

from chain.block import Body, PayloadCommit, RoundInput
from chain.crypto.hashing import ZERO
from chain.state import claim_key
from node import claim_pool
from node import producer as producer_module
from node.claim_pool import ClaimPool
from node.mempool import Mempool
from node.producer import Producer
from node.round_driver import RoundDriver
from tests.builders import (
    NO_SIGNATURE,
    NODE,
    Chain,
    a_commit,
    a_key,
    a_network,
    a_proof,
    a_training_chain,
    named,
    train,
)
from tests.chain.audits_alone import Audits
from tests.node.lone_node import IDENTITY

LIMIT = 2
NAMES = [a_key(f"name {index}") for index in range(2 * LIMIT + 2)]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer_module, "INPUTS_PER_BLOCK", LIMIT)


@pytest.fixture
def chain(few: None) -> Chain:
    """NODE has proven its round and can commit; the others are names that do nothing."""
    chain = a_training_chain(NODE, *NAMES, network=a_network(train_blocks=60))
    train(chain, NODE)
    return chain


def a_producer(chain: Chain) -> Producer:
    """Of a validator that trains nothing: its driver has nothing to say, and asks for no outcomes."""
    driver = RoundDriver(chain.network, IDENTITY, cast(Any, None))
    return Producer(chain.network, driver, Mempool(chain.network), ClaimPool(chain.network.params))


def body(chain: Chain, producer: Producer) -> Body:
    return producer.body(chain.state, chain.parent, chain.proposal(), b"")


def wait(producer: Producer, *items: RoundInput) -> None:
    for item in items:
        assert producer.pool.put(item) is not None


def test_words_that_are_refused_keep_no_others_out_of_blocks_for_long(chain: Chain) -> None:
    producer = a_producer(chain)
    wait(producer, *(a_commit(chain, name) for name in NAMES))
    wait(producer, good := a_commit(chain))
    assert any(good in body(chain, producer).rounds for _ in range(3))


@pytest.mark.usefixtures("few")
def test_words_that_wait_for_their_time_take_no_room_in_a_block() -> None:
    audits = Audits()
    audits.block()
    early, good = [audits.verdict(place) for place in range(LIMIT)], audits.opening()
    producer = a_producer(Chain(audits.network))
    taken, refused = producer._inputs(audits.progress, [*early, good])
    assert (taken, refused) == ([good], [])


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("owed", ["opening", "secret"])
def test_what_an_audited_node_owes_stands_before_its_commit_in_the_same_block(owed: str) -> None:
    audits = Audits(plant=True)
    audits.block()
    if owed == "secret":
        audits.take(audits.opening())
        audits.take(audits.commit(audits.assigned()[0].validator))
    audits.block()
    audits.state.put(claim_key(2, NODE.node), replace(audits.a_claim(NODE, 2), commitment=ZERO))
    commit = PayloadCommit(2, NODE.node, named("payload"), NO_SIGNATURE)
    commit = replace(commit, signature=NODE.sign(commit.digest(audits.network.chain_id)))
    assert audits.refuses(commit)
    producer = a_producer(Chain(audits.network))
    answer = audits.opening() if owed == "opening" else audits.plant_reveal()
    wait(producer, commit, answer)
    assert producer._inputs(audits.progress, producer.pool.inputs(audits.state)) == ([answer, commit], [])


def test_a_block_tries_twice_as_many_words_as_it_may_hold_and_no_more(chain: Chain) -> None:
    producer = a_producer(chain)
    wait(producer, *(a_commit(chain, name) for name in NAMES))
    assert body(chain, producer).rounds == ()
    assert sorted(held.failures for held in producer.pool.all()) == [0] * (len(NAMES) - 2 * LIMIT) + [1] * 2 * LIMIT


def test_names_cannot_fill_the_pool_against_what_audits_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_pool, "CLAIMS_MAXIMUM", 1)
    audits = Audits()
    audits.block()
    chain = a_training_chain(NODE, *NAMES, network=a_network(train_blocks=60))
    pool = ClaimPool(audits.params)
    assert pool.put(a_proof(chain, NAMES[0])) is not None
    assert pool.put(a_proof(chain, NAMES[1])) is None
    assert pool.put(audits.opening()) is not None
