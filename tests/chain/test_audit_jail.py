"""Who misses audits goes to jail at the epoch's end, by the same limits as who does not sign."""

import pytest

from chain.audit_records import add_misses, misses_key, misses_of
from chain.money import NEURO
from chain.receipts import AuditMissed, Jailed
from chain.stakes import ValidatorKey, validator_key
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    OTHER_NODE,
    Chain,
    a_key,
    a_network,
    a_withdrawal,
    an_unbond,
    voting_key,
)
from tests.chain.audits_alone import Audits

WALLETS = (ALICE, BOB, CAROL, OTHER_NODE, a_key("erin"))


def after_misses(number: int, *missing, wallets=WALLETS) -> Chain:
    chain = Chain()
    chain.seat(*wallets)
    have_missed(chain, number, *missing)
    chain.end_epoch()
    return chain


def have_missed(chain: Chain, number: int, *missing) -> None:
    draft = chain.state.fork()
    for wallet in missing:
        add_misses(draft, voting_key(wallet), number)
    chain._keep_outside_of_blocks(draft)


@pytest.mark.parametrize(("number", "jailed"), [(2, False), (3, True), (4, True)])
def test_so_many_misses_in_a_row_lead_to_jail(number, jailed):
    chain = after_misses(number, BOB)
    assert (chain.stake(BOB).jailed_until > 0) == jailed
    assert misses_of(chain.state, voting_key(BOB)) == (0 if jailed else number)
    assert [r.wallet for r in chain.receipts if isinstance(r, Jailed)] == ([BOB.address] if jailed else [])


def test_whom_the_limit_of_an_epoch_spares_keeps_its_misses_and_is_next():
    chain = after_misses(3, ALICE, BOB)
    jailed = [wallet for wallet in (ALICE, BOB) if chain.stake(wallet).jailed_until]
    spared = [wallet for wallet in (ALICE, BOB) if not chain.stake(wallet).jailed_until]
    assert len(jailed) == len(spared) == 1
    assert misses_of(chain.state, voting_key(spared[0])) == 3


def test_misses_are_kept_while_a_key_has_stake_and_forgotten_when_all_of_it_is_withdrawn():
    chain = Chain(a_network(base_fee_initial=10, epoch_blocks=2, unbonding_epochs=3))
    chain.seat(*WALLETS)
    chain.fund(ALICE, NEURO)
    have_missed(chain, 1, ALICE)
    chain.block([an_unbond(chain, chain.stake(ALICE).staying)])
    chain.end_epochs(6)
    assert voting_key(ALICE) not in [member.public_key for member in chain.members]
    assert misses_of(chain.state, voting_key(ALICE)) == 1
    chain.block([a_withdrawal(chain)])
    assert chain.state.get(misses_key(voting_key(ALICE))) is None


def test_of_a_key_that_has_left_or_is_banned_no_misses_are_kept():
    for known, kept in ((None, 0), (True, 0), (False, 1)):
        audits = Audits()
        audits.open()
        key = audits.state.validators(0).members[audits.assigned()[0].validator].public_key
        if known is None:
            audits.state.delete(validator_key(key))
        else:
            audits.state.put(validator_key(key), ValidatorKey(ALICE.address, known))
        audits.blocks(audits.params.audit_blocks)
        assert [missed.misses for missed in audits.told(AuditMissed)] == [1]
        assert misses_of(audits.state, key) == kept


def test_misses_never_leave_fewer_than_four():
    chain = after_misses(3, BOB, wallets=WALLETS[:3])
    assert not chain.stake(BOB).jailed_until
