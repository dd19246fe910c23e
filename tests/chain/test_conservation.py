"""Payments while rounds close and fail: what was minted and not burned is owned, and the root is that of the records.

Every block is judged from its bytes. Stake, and all other kinds of transactions, are in `test_economy`.
"""

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain.address import address_of
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
from tests.chain.naive_ledger import NaiveLedger

WALLETS = (ALICE, BOB, CAROL)
NODES = (NODE, OTHER_NODE)
NETWORK = a_network(epoch_blocks=4, vest_rounds=1, base_work_batches=5, base_fee_initial=11, train_blocks=4)
KEYS = st.sampled_from(WALLETS)
AMOUNTS = st.one_of(st.integers(0, 50), st.integers(0, 10**8), st.just(2**128 - 1))


class Ledgers(RuleBasedStateMachine):
    """The ledger and the reference live through the same history."""

    @initialize(amounts=st.lists(st.integers(0, 10**9), min_size=3, max_size=3))
    def begin(self, amounts):
        self.chain, self.reference = Chain(NETWORK), NaiveLedger(NETWORK.params, FOUNDER.address)
        self.chain.register(*NODES)
        for node in NODES:
            self.reference.register(ALICE.address, node.node, False)
        for key, amount in zip(WALLETS, amounts, strict=True):
            self.chain.fund(key, amount)
            self.reference.fund(key.address, amount)

    def block(self, **body):
        applied = self.chain.block(**body)
        for receipt in applied.receipts:
            if isinstance(receipt, RoundClosed | RoundVoid):
                self.reference.end_round(receipt.round, ())  # `reveal` has noted whom it pays
        if self.chain.height % 4 == 0:
            self.reference.settle()
        self.reference.release()
        return applied

    def follow(self, payment, fee, tip):
        payer = address_of(payment.sender)
        self.reference.fee(payer, FOUNDER.address, fee, tip)
        self.reference.act(payer, payment.action, 0)

    @rule(payer=KEYS, payee=KEYS, amount=AMOUNTS, tip=st.integers(0, 9), service=st.booleans())
    def pay(self, payer, payee, amount, tip, service):
        make = a_service_payment if service else a_transfer
        base_fee = self.chain.state.ledger.base_fee
        payment = make(self.chain, amount, payee=payee, sender=payer, max_fee=base_fee + 5, tip=tip)
        gas = 1_000 + len(payment.encode())
        before = dict(self.chain.records)
        if self.reference.attempt(self.follow, payment, gas * base_fee, gas * min(tip, 5)):
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
            if self.reference.attempt(self.follow, payment, 1_160 * base_fee, 0):
                payments.append(payment)
                nonces[payer] += 1
        self.block(transactions=payments)

    @rule(node=st.sampled_from(NODES))
    def work(self, node):
        proof, base_fee = a_proof(self.chain, node), self.chain.state.ledger.base_fee
        # Recorded first: this block may end the round and the epoch.
        claims = dict(self.reference.claims)
        self.reference.claim(proof.round, node.node, 2, (1_000 + len(proof.encode())) * base_fee)
        try:
            self.block(proofs=[proof])
        except InvalidProof:  # Not the time for it: the round trains no more, or the node has committed.
            self.reference.claims = claims
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
        self.reference.counted |= {(chain.round.number, node.node) for node in nodes}
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
        assert sorted((pot.wallet, pot.amount) for pot in vesting) == sorted(
            pot for pot in reference.vesting.values() if pot[1]
        )
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
