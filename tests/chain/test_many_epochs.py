"""Whatever validators do over many epochs, the set stays one that a chain can live with."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chain.block import VALIDATORS_MAXIMUM
from chain.bootstrap import INDEPENDENT
from chain.money import NEURO
from chain.receipts import Burned, Jailed, StakeLeft
from chain.stakes import NO_KEY, ValidatorKey, validator_key
from chain.validators import FEWEST
from consensus.committee import is_quorum
from node.certificates import committee_of
from tests.chain.stake_builders import COUNTED, EPOCH, Sets, founded, key_of, owned, wallet_of

NAMES = [f"v{i}" for i in range(9)]
WHO = st.sampled_from(NAMES)
MINIMUM = 100 * NEURO
LIMITS = st.sampled_from([1, MINIMUM - 1, MINIMUM, MINIMUM + 1, 3 * MINIMUM, 20 * MINIMUM])
AMOUNTS = LIMITS | st.integers(1, 9 * MINIMUM)


class Epochs(RuleBasedStateMachine):
    """Wallets bond, unbond, withdraw, earn, sleep, go to jail and are banned; epochs end."""

    @initialize(founders=st.integers(1, 7), sunset=st.integers(1, 12), aim=st.sampled_from([1, 4, 8, 1_000]))
    def begin(self, founders, sunset, aim):
        params = {"sunset_height": sunset * EPOCH, "stake_target_nanos": aim * MINIMUM}
        self.sets = Sets(founded(founders, **params))
        self.founders = [self.sets.founder(place) for place in range(founders)]
        self.put_in = 0  # nanos that the wallets were given
        self.phantom, self.latched = self.sets.phantom, False

    # ---- What happens within an epoch

    @rule(name=WHO, nanos=AMOUNTS, founder=st.none() | st.integers(0, 6))
    def bond(self, name, nanos, founder):
        """The first bond names a key: its own, or a founder's that is neither banned nor another wallet's."""
        stake = self.sets.stake(name)
        if stake.tombstoned or stake.staying + nanos < MINIMUM:
            return
        key = key_of(name) if stake.public_key == NO_KEY else stake.public_key
        free = [key for key in self.founders if self.sets.state.get(validator_key(key)) is None]
        if stake.public_key == NO_KEY and free and founder is not None:
            key = free[founder % len(free)]
        self.sets.bond(name, nanos, key=key)
        self.put_in += nanos

    @rule(name=WHO, nanos=AMOUNTS, whole=st.booleans())
    def unbond(self, name, nanos, whole):
        stake = self.sets.stake(name)
        amount = stake.staying if whole else nanos
        rest = stake.staying - amount
        if amount and not stake.tombstoned and (rest == 0 or rest >= MINIMUM):
            self.sets.unbond(name, amount)

    @rule(name=WHO, nanos=AMOUNTS)
    def earn(self, name, nanos):
        self.sets.earn(name, nanos)
        self.put_in += nanos

    @rule(name=WHO)
    def withdraw(self, name):
        if any(ready <= self.sets.epoch for ready in self.sets.stake(name).exits):
            self.sets.withdraw(name)

    @rule(name=WHO)
    def unjail(self, name):
        stake = self.sets.stake(name)
        if 0 < stake.jailed_until <= self.sets.epoch and not stake.tombstoned:
            self.sets.unjail(name)

    @rule(name=WHO, lost=AMOUNTS)
    def ban(self, name, lost):
        stake = self.sets.stake(name)
        if stake.public_key != NO_KEY and not stake.tombstoned:
            self.sets.ban(name, lost)

    @rule(place=st.integers(0, 6))
    def ban_founder(self, place):
        key = self.founders[place % len(self.founders)]
        if self.sets.state.get(validator_key(key)) is None:
            self.sets.ban_founder(self.founders.index(key))

    # ---- What must hold at its end

    @rule(absent=st.sets(WHO), counted=st.sampled_from([0, COUNTED, COUNTED]), epochs=st.integers(1, 4))
    def end_epochs(self, absent, counted, epochs):
        for _ in range(epochs):
            self.end_epoch(absent, counted)

    def end_epoch(self, absent, counted):
        sets = self.sets
        before, old, total = {name: sets.stake(name) for name in NAMES}, sets.members, sets.total
        receipts = sets.end_epoch(absent=absent, counted=counted)
        after = {name: sets.stake(name) for name in NAMES}
        self.check_limits(before, after, receipts, total)
        self.check_queue(before, after)
        self.check_money(before, after, receipts)
        self.check_set(after, old)
        self.check_phantom(after)

    def check_limits(self, before, after, receipts, total):
        """Churn, jail, and four validators that neither goes below."""
        jailed = {receipt.wallet for receipt in receipts if isinstance(receipt, Jailed)}
        in_jail = [name for name in NAMES if wallet_of(name) in jailed]
        free = [name for name in NAMES if name not in in_jail and not after[name].tombstoned]
        moved = sum(abs(after[name].power - before[name].power) for name in free)
        assert moved <= max(MINIMUM, total // 4)
        assert sum(before[name].power for name in in_jail) <= total // 4
        lost = [name for name in (*free, *in_jail) if before[name].power and not after[name].power]
        if any(not self.sets.power_of(before[name].public_key) for name in lost):
            assert len(self.sets.members) >= FEWEST

    def check_queue(self, before, after):
        """Nobody entered while somebody waited who had asked before."""
        able = [stake for stake in after.values() if stake.public_key != NO_KEY and not stake.tombstoned]
        waiting = [s for s in able if not s.jailed_until and s.staying >= MINIMUM and s.power < s.staying]
        entered = [before[name].since_height for name in NAMES if after[name].power > before[name].power]
        if waiting and entered:
            assert max(entered) <= min(stake.since_height for stake in waiting)

    def check_money(self, before, after, receipts):
        """What left a bond is unbonding: no stake is lost, and none answers for more than it has."""
        left = {receipt.wallet: receipt.amount for receipt in receipts if isinstance(receipt, StakeLeft)}
        assert not any(isinstance(receipt, Burned) for receipt in receipts)
        for name in NAMES:
            assert before[name].bonded - after[name].bonded == left.get(wallet_of(name), 0)
            assert after[name].power <= after[name].bonded
            assert after[name].leaving <= after[name].bonded

    def check_set(self, after, old):
        sets = self.sets
        banned = [key for key in self.founders if self.is_banned(key)]
        power = sum(stake.power for stake in after.values())
        power += sets.phantom * (len(self.founders) - len(banned))
        assert sets.members == old if power == 0 else sets.total == power
        assert 0 < len(sets.members) <= VALIDATORS_MAXIMUM
        if power:
            assert not any(self.is_banned(member.public_key) for member in sets.members)
        committee = committee_of(sets.state, sets.epoch)  # Refuses a key that is there twice.
        assert is_quorum(committee, range(len(committee.members)))

    def check_phantom(self, after):
        known = self.sets.staking
        assert known.phantom <= self.phantom
        assert known.latched or not self.latched
        assert known.phantom == 0 or not known.latched
        real = [stake.power for stake in after.values() if stake.power]
        if self.sets.epoch * EPOCH >= self.sets.network.params.sunset_height and len(real) >= INDEPENDENT:
            assert len(self.founders) * known.phantom <= (sum(real) - 1) // 2
        self.phantom, self.latched = known.phantom, known.latched

    def is_banned(self, key):
        found = self.sets.state.find(ValidatorKey, validator_key(key))
        return found is not None and found.tombstoned

    @invariant()
    def every_nano_is_owned(self):
        if hasattr(self, "sets"):
            records = {key: value for key, value in self.sets.state.changes.items() if value is not None}
            supply = self.sets.state.supply
            assert supply.minted == self.put_in
            assert owned(records) == supply.owned == supply.circulating


def live(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Epochs,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=[Phase.generate, Phase.shrink],
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_the_choice_of_sets_holds_its_promises_over_many_epochs():
    live(examples=30, steps=50)


@pytest.mark.soak
@pytest.mark.timeout(1_200)
def test_the_choice_of_sets_holds_its_promises_over_very_many_epochs():
    live(examples=1_500, steps=100)
