"""Who misses audits goes to jail at the epoch's end, by the same limits as who does not sign."""

import pytest

from chain.audit_records import add_misses, misses_of
from chain.receipts import Jailed
from tests.builders import ALICE, BOB, CAROL, OTHER_NODE, Chain, a_key, voting_key

WALLETS = (ALICE, BOB, CAROL, OTHER_NODE, a_key("erin"))


def after_misses(number: int, *missing, wallets=WALLETS) -> Chain:
    chain = Chain()
    chain.seat(*wallets)
    draft = chain.state.fork()
    for wallet in missing:
        add_misses(draft, voting_key(wallet), number)
    chain._keep_outside_of_blocks(draft)
    chain.end_epoch()
    return chain


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


def test_misses_never_leave_fewer_than_four():
    chain = after_misses(3, BOB, wallets=WALLETS[:3])
    assert not chain.stake(BOB).jailed_until
