"""What attacks on uptime and data are worth: no more than the seats, no more than their chance."""

import pytest

from chain.data_receipts import DATA_ROUNDS, take_served
from chain.services import Served, served_key
from chain.state import Claim, claim_key, node_key
from tests.adversaries.colluding_pair import is_lucky, sign_for_all
from tests.adversaries.idle_names import prove_all
from tests.builders import ALICE, a_key
from tests.chain.stored_model import a_model_network, fragments, next_epoch, opened, with_nodes
from tests.chain.test_data_receipts import NETWORK, TRAINER, VETERANS, a_claim, a_record, a_state

IDLE = [a_key(f"idle {i}") for i in range(1_000)]
PARAMS = NETWORK.params
SEATS = 4 * len(fragments())


def test_a_thousand_idle_names_on_one_disk_cannot_exceed_the_seats() -> None:
    network = a_model_network(holders=4)
    assert SEATS == 16
    state = with_nodes(network, [], IDLE)
    for epoch in range(2, 8):
        taken = prove_all(state, IDLE, network)
        assert taken <= SEATS // 4 and max(opened(state).taken) <= 4
        next_epoch(state, epoch)


def test_idle_names_do_not_take_the_seats_of_those_who_work() -> None:
    network = a_model_network(holders=4)
    workers = [a_key(f"worker {i}") for i in range(8)]
    alone = with_nodes(network, workers, [])
    crowded = with_nodes(network, workers, IDLE)
    assert prove_all(alone, workers, network) == 8
    idle, worked = prove_all(crowded, IDLE, network), prove_all(crowded, workers, network)
    assert idle <= SEATS // 4 and worked >= 6  # a full fragment may turn one away


@pytest.mark.parametrize(("partners", "expected"), [(2, 0.1), (10, 0.5)])
def test_a_pair_is_paid_as_often_as_chance_brings_it_together(partners: int, expected: float) -> None:
    theirs, lucky = [key.node for key in VETERANS[:partners]], 0
    for draw in range(100):
        state = a_state(mix=f"chance {draw}")
        taken = sign_for_all(state, TRAINER, theirs, NETWORK)
        assert taken == (PARAMS.corpus_shards if is_lucky(state, TRAINER, theirs) else 0)
        lucky += taken > 0
    assert abs(lucky - 100 * expected) < 20


def test_waiting_does_not_bring_a_pair_together() -> None:
    theirs = [key.node for key in VETERANS[:2]]
    mix = next(f"chance {draw}" for draw in range(99) if not is_lucky(a_state(mix=f"chance {draw}"), TRAINER, theirs))
    for number in range(2, 2 + DATA_ROUNDS + 3):
        state = a_state(number, mix=mix)
        assert not is_lucky(state, TRAINER, theirs) and sign_for_all(state, TRAINER, theirs, NETWORK) == 0


def test_false_receipts_earn_no_more_than_the_corpus_once_however_often_the_pair_signs() -> None:
    theirs, samples = [key.node for key in VETERANS], 0
    state = a_state()
    for number in range(2, 10):
        state.update_ledger(round=number)
        for key, value in a_state(number).changes.items():
            if key[:1] in (b"r", b"c"):
                state.changes[key] = value
        sign_for_all(state, TRAINER, theirs, NETWORK)
        provided = take_served(state, number, TRAINER.node, 8, PARAMS)
        samples += 0 if provided is None else provided.samples
    assert samples == 8 * PARAMS.sequences  # what one round's training consumed, once


def test_a_second_name_is_another_registration_with_a_draw_of_its_own() -> None:
    theirs, names = [key.node for key in VETERANS[:2]], [a_key(f"name {i}") for i in range(100)]
    state, lucky = a_state(), 0
    for name in names:
        state.put(node_key(name.node), a_record(name, ALICE, 15))
        state.put(claim_key(2, name.node), a_claim(ALICE, 8))
        assert state.find(Claim, claim_key(2, name.node)) is not None
        lucky += sign_for_all(state, name, theirs, NETWORK) > 0
        assert (state.find(Served, served_key(2, name.node)) is not None) == is_lucky(state, name, theirs)
    assert lucky < 25  # of 100 stamps, about ten hit
