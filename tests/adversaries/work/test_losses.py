"""What a cheat loses when it is caught: all that is vesting, a part of its stake, its seat, and its good name."""

from dataclasses import dataclass

import pytest

from chain.state import NodeRecord, Round, node_key
from tests.adversaries.work.invented_states import InventedStates
from tests.adversaries.work.selective_refusal import RefusesOpening, RefusesServing, ServesGarbage
from tests.adversaries.work.suite import AUDITED, a_cheat
from tests.audits.auditor import Auditor
from tests.audits.people import a_node, a_school, a_village
from tests.audits.trainer import Trainer
from tests.audits.village import Village
from tests.builders import a_key

WARM_UP = {"audit_warmup_rounds": 100, "audit_floor_rounds": 1_000, "vest_rounds": 40}


def earned(village: Village, node: Trainer) -> int:
    """What its wallet got, and what it still may get."""
    return village.chain.balance(node.wallet) + village.vesting(node)


@dataclass
class Sleeper(InventedStates):
    """Honest up to a round, so that it has something to lose."""

    honest_rounds: int = 4

    def states(self, current: Round, record: NodeRecord) -> list:  # type: ignore[type-arg]
        self.segments = frozenset() if current.number <= self.honest_rounds else None
        return super().states(current, record)


@pytest.mark.parametrize("name", [name for name, kind in AUDITED.items() if kind.end == "fraud"])
def test_who_is_convicted_in_its_first_rounds_has_earned_nothing(name):
    school = a_school(**WARM_UP, suspension_rounds=100)
    honest = a_node(school, "honest")
    cheat = a_cheat(school, name, honest, seed=1)
    village = a_village(school, [honest, a_node(school, "other"), cheat]).until_convicted(cheat, 8).run(2)
    assert earned(village, cheat) == 0
    record = village.state.need(NodeRecord, node_key(cheat.key.node))
    assert record.suspended_round > village.state.ledger.round
    # What passed since is an audit of a round that had been drawn for before.
    assert record.audited_rounds <= 1
    assert all(cheat.key.node != each.node for each in village.chain.round.revealed)
    assert earned(village, honest) > 0


def test_fraud_forfeits_the_honest_rounds_that_have_not_been_released():
    school = a_school(**WARM_UP, suspension_rounds=100)
    honest, sleeper = a_node(school, "honest"), Sleeper(school, a_key("sleeper"), a_key("its wallet"))
    village = a_village(school, [honest, a_node(school, "other"), sleeper]).run(4)
    village.end_epoch()
    assert earned(village, sleeper) == earned(village, honest) > 0
    village.until_convicted(sleeper, 4)
    assert earned(village, sleeper) == 0
    assert earned(village, honest) > 0


def test_fraud_costs_a_part_of_the_stake_of_the_wallet_and_pays_the_finder_little():
    school = a_school(**WARM_UP)
    cheat = InventedStates(school, a_key("cheat"), a_key("rich wallet"))
    nodes = [a_node(school, "honest"), a_node(school, "other"), cheat]
    village = a_village(school, nodes, [Auditor(school, cheat.wallet)])
    before = village.chain.stake(cheat.wallet).bonded
    village.until_convicted(cheat, 3)
    lost = before - village.chain.stake(cheat.wallet).bonded
    assert lost == before * school.params.fraud_basis_points // 10_000
    paid = sum(each.amount for _, each in village.named("FraudRewarded"))
    vesting = sum(each.amount for _, each in village.named("Forfeited"))
    assert 0 < paid <= (lost + vesting) // 32


@pytest.mark.parametrize("kind", [RefusesOpening, RefusesServing, ServesGarbage])
def test_who_does_not_show_or_serve_loses_the_round_and_begins_anew(kind):
    school = a_school(audit_warmup_rounds=1, audit_steady_basis_points=10_000, vest_rounds=40)
    silent = kind(school, a_key("silent"), a_key("its wallet"))
    honest = a_node(school, "honest")
    village = a_village(school, [honest, a_node(school, "other"), silent]).run(2)
    village.end_epoch()
    ended = [each for each in village.audits.values() if each.node == silent.key.node and each.outcome]
    assert {each.outcome for each in ended} == {"withheld"}
    rounds = [each.round for each in ended]
    assert village.vesting(silent, rounds) == 0 < village.vesting(honest, rounds)
    record = village.state.need(NodeRecord, node_key(silent.key.node))
    assert record.audited_rounds == 0
    # Silence may be an accident: it costs neither the seat nor the rounds that were checked.
    assert record.suspended_round == 0
