"""Whatever happens, every nano that was minted and not burned is owned, and the receipts tell the whole story.

The reference is a ledger of plain dictionaries that knows the rules of money and nothing of records, overlays or trees.
"""

from fractions import Fraction
from math import isqrt

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain.crypto.hashing import ZERO
from chain.errors import InvalidProof, NotEnoughFunds
from chain.receipts import PROOF_FEE, Burned, Minted, Released, RoundClosed, RoundVoid
from chain.state import HOLDING, RESULT, REVEALING, TRAINING, Account, Claim, Vesting, claim_key
from chain.tree import Update
from tests.builders import (
    ALICE,
    BOB,
    CAROL,
    FOUNDER,
    NODE,
    OTHER_NODE,
    Chain,
    a_commit,
    a_network,
    a_proof,
    a_result_vote,
    a_reveal,
    a_service_payment,
    a_transfer,
    an_availability_vote,
)

WALLETS = (ALICE, BOB, CAROL)
NODES = (NODE, OTHER_NODE)
RATE, BASE_WORK = 500_000, 5
NETWORK = a_network(epoch_blocks=4, vest_rounds=1, base_work_batches=BASE_WORK, base_fee_initial=11, train_blocks=4)
KEYS = st.sampled_from(WALLETS)
AMOUNTS = st.one_of(st.integers(0, 50), st.integers(0, 10**8), st.just(2**128 - 1))


class Reference:
    """Balances and claims in dictionaries."""

    def __init__(self) -> None:
        self.balances: dict[bytes, int] = {}
        self.vesting: dict[tuple[int, bytes], tuple[bytes, int]] = {}
        self.minted = self.burned = 0
        self.claims: dict[tuple[int, bytes], tuple[bytes, int, int]] = {}  # wallet, batches, debt
        self.revealed: set[tuple[int, bytes]] = set()
        self.ended: list[int] = []
        self.void: set[int] = set()
        self.settled = 0
        self.released = 0

    def add(self, address: bytes, amount: int) -> None:
        self.balances[address] = self.balances.get(address, 0) + amount

    def fund(self, address: bytes, amount: int) -> None:
        self.minted += amount
        self.add(address, amount)

    def pay(self, payer: bytes, payee: bytes, amount: int, fee: int, tip: int, burned: int) -> bool:
        """Whether the payer can, and if so the payment."""
        if self.balances.get(payer, 0) < amount + fee + tip:
            return False
        self.add(payer, -amount - fee - tip)
        self.add(payee, amount - burned)
        self.add(FOUNDER.address, tip)
        self.burned += fee + burned
        return True

    def end_round(self, number: int, void: bool) -> None:
        self.ended.append(number)
        if void:
            self.void.add(number)

    def settle(self) -> None:
        paid = [
            (number, node, *claim)
            for (number, node), claim in sorted(self.claims.items())
            if self.settled < number and number in self.ended
            if number in self.void or (number, node) in self.revealed
        ]
        work = sum(batches for _, _, _, batches, _ in paid)
        budget = RATE * work if work <= BASE_WORK else BASE_WORK * RATE * isqrt(work * BASE_WORK) // BASE_WORK
        exact = [Fraction(budget * batches, work) for _, _, _, batches, _ in paid]
        amounts = [int(share) for share in exact]
        while sum(amounts) < budget and paid:
            best = max(range(len(paid)), key=lambda i: (exact[i] - amounts[i], -i))
            amounts[best] += 1
        for (number, node, wallet, _, debt), amount in zip(paid, amounts, strict=True):
            self.minted += amount
            self.burned += min(debt, amount)
            self.vesting[number, node] = (wallet, amount - min(debt, amount))
        self.settled = max([self.settled, *self.ended])

    def release(self) -> None:
        last = max([0, *self.ended])
        for number, node in sorted(self.vesting):
            if number <= self.settled and last - number >= 1:
                wallet, amount = self.vesting.pop((number, node))
                if amount:
                    self.add(wallet, amount)


class Ledgers(RuleBasedStateMachine):
    """The ledger and the reference live through the same history."""

    @initialize(amounts=st.lists(st.integers(0, 10**9), min_size=3, max_size=3))
    def begin(self, amounts):
        self.chain, self.reference = Chain(NETWORK), Reference()
        self.chain.register(*NODES)
        for key, amount in zip(WALLETS, amounts, strict=True):
            self.chain.fund(key, amount)
            self.reference.fund(key.address, amount)

    def block(self, **body):
        applied = self.chain.block(**body)
        for receipt in applied.receipts:
            if isinstance(receipt, RoundClosed | RoundVoid):
                self.reference.end_round(receipt.round, isinstance(receipt, RoundVoid))
        if self.chain.height % 4 == 0:
            self.reference.settle()
        self.reference.release()
        return applied

    @rule(payer=KEYS, payee=KEYS, amount=AMOUNTS, tip=st.integers(0, 9), service=st.booleans())
    def pay(self, payer, payee, amount, tip, service):
        make = a_service_payment if service else a_transfer
        base_fee = self.chain.state.ledger.base_fee
        payment = make(self.chain, amount, payee=payee, sender=payer, max_fee=base_fee + 5, tip=tip)
        gas = 1_000 + len(payment.encode())
        burned = -(-amount // 20) if service else 0
        before = dict(self.chain.records)
        if self.reference.pay(payer.address, payee.address, amount, gas * base_fee, gas * min(tip, 5), burned):
            self.block(transactions=[payment])
        else:
            try:
                self.chain.block(transactions=[payment])
            except NotEnoughFunds:
                assert self.chain.records == before
            else:
                raise AssertionError("the reference refuses this payment")

    @rule(payers=st.lists(KEYS, min_size=2, max_size=3))
    def several_payments_in_a_block(self, payers):
        chain, base_fee = self.chain, self.chain.state.ledger.base_fee
        nonces = {key: chain.state.account(key.address).nonce for key in WALLETS}
        payments = []
        for payer in payers:
            payment = a_transfer(chain, 1, payee=CAROL, sender=payer, nonce=nonces[payer], max_fee=base_fee)
            if self.reference.pay(payer.address, CAROL.address, 1, 1_160 * base_fee, 0, 0):
                payments.append(payment)
                nonces[payer] += 1
        self.block(transactions=payments)

    @rule(node=st.sampled_from(NODES))
    def work(self, node):
        chain, claims = self.chain, self.reference.claims
        place = (chain.state.ledger.round, node.node)
        proof = a_proof(chain, node)
        before = claims.get(place)
        wallet, batches, debt = before or (ALICE.address, 0, 0)
        gas = 1_000 + len(proof.encode())
        # Recorded first: this block may end the round and the epoch.
        claims[place] = (wallet, batches + 2, debt + gas * chain.state.ledger.base_fee)
        try:
            self.block(proofs=[proof])
        except InvalidProof:  # Not the time for it: the round trains no more, or the node has committed.
            del claims[place]
            claims |= {} if before is None else {place: before}
            self.block()

    @precondition(lambda self: self.chain.round.phase == TRAINING)
    @rule()
    def commit(self):
        chain, number = self.chain, self.chain.round.number
        ready = []
        for node in NODES:
            claim = chain.state.find(Claim, claim_key(number, node.node))
            early = chain.height + 1 < chain.round.deadline_height
            if claim and len(claim.states) >= 2 and claim.commitment == ZERO and early:
                ready.append(node)
        self.block(rounds=[a_commit(chain, node) for node in ready])

    @precondition(lambda self: self.chain.round.phase == REVEALING)
    @rule()
    def reveal(self):
        chain = self.chain
        late = chain.height + 1 >= chain.round.deadline_height
        shown = {revealed.node for revealed in chain.round.revealed}
        waiting = set() if late else set(chain.round.committed) - shown
        nodes = [node for node in NODES if node.node in waiting]
        self.reference.revealed |= {(chain.round.number, node.node) for node in nodes}
        self.block(rounds=[a_reveal(chain, node) for node in nodes])

    @precondition(lambda self: self.chain.round.phase in (HOLDING, RESULT))
    @rule()
    def vote(self):
        chain = self.chain
        late = chain.height + 1 >= chain.round.deadline_height
        make = an_availability_vote if chain.round.phase == HOLDING else a_result_vote
        self.block(rounds=[] if late else [make(chain)])

    @rule(blocks=st.integers(1, 6))
    def time_passes(self, blocks):
        for _ in range(blocks):
            self.block()

    @invariant()
    def the_ledger_is_the_reference(self):
        if not hasattr(self, "chain"):
            return
        records, supply, reference = self.chain.records, self.chain.state.supply, self.reference
        accounts = {key[1:]: Account.decode(value) for key, value in records.items() if key[:1] == b"a"}
        vesting = [Vesting.decode(value) for key, value in records.items() if key[:1] == b"v"]
        held = {address: account.balance for address, account in accounts.items() if account.balance}
        assert held == {address: amount for address, amount in reference.balances.items() if amount}
        assert (supply.minted, supply.burned) == (reference.minted, reference.burned)
        assert supply.balances == sum(held.values())
        assert supply.vesting == sum(record.amount for record in vesting)
        assert supply.minted - supply.burned == sum(held.values()) + sum(record.amount for record in vesting)
        assert (supply.bonded, supply.unbonding, supply.escrow, supply.deposits) == (0, 0, 0, 0)

    @invariant()
    def the_root_is_that_of_the_records_alone(self):
        if hasattr(self, "chain"):
            rebuilt = Update(lambda _: None)
            assert self.chain.parent.state_root == rebuilt.apply(ZERO, self.chain.records)
            assert self.chain.nodes == rebuilt.fresh

    def teardown(self):
        if not hasattr(self, "chain"):
            return
        receipts = [receipt for applied in self.chain.blocks for receipt in applied.receipts]
        supply = self.chain.state.supply
        assert supply.burned == sum(r.amount for r in receipts if isinstance(r, Burned))
        released = sum(r.amount for r in receipts if isinstance(r, Released))
        earned = sum(r.amount for r in receipts if isinstance(r, Minted))
        fees = sum(r.amount for r in receipts if isinstance(r, Burned) and r.reason == PROOF_FEE)
        assert supply.vesting == earned - fees - released


Ledgers.TestCase.settings = settings(
    max_examples=10,
    phases=[Phase.generate, Phase.shrink],
    stateful_step_count=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAllThatWasMintedAndNotBurnedIsOwned = Ledgers.TestCase
