"""Wallets, nodes and validators that do whatever they like, on the ledger and on the naive one at once.

Every act goes into a block of its own; both ledgers must allow it or refuse it. After every block `Economy.keep`
compares all pots and checks that the receipts tell what was minted and burned, that whoever proved no work owns no more
than before, and that whoever did nothing owns no less.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

from chain.block import Block, Body, Proof, RoundInput
from chain.crypto.hashing import ZERO
from chain.crypto.votes import evidence_of
from chain.errors import BadSignature, InvalidProof, InvalidRoundInput, InvalidTransaction, NotEnoughFunds
from chain.fees import proof_gas, transaction_gas
from chain.progress import Progress
from chain.receipts import (
    PROOF_FEE,
    SLASHED,
    Burned,
    Jailed,
    Minted,
    Receipt,
    Released,
    RoundVoid,
    StakeLeft,
    Tombstoned,
)
from chain.stakes import Stake, Unbonding
from chain.state import REVEALING, TRAINING, Account, Claim, Supply, Vesting, claim_key
from chain.transactions import (
    Action,
    MultiTransfer,
    Payment,
    RegisterNode,
    Transaction,
    Unbond,
)
from chain.transition import Applied, Proposal, apply_block, build_block
from tests.builders import (
    FOUNDER,
    Chain,
    Key,
    a_bond,
    a_certificate,
    a_commit,
    a_key,
    a_network,
    a_possession,
    a_proof,
    a_registration,
    a_retirement,
    a_reveal,
    a_transaction,
    a_vote,
    named,
    secret_of,
    voting_key,
)
from tests.chain.naive_ledger import NaiveLedger

MINIMUM = 10**7  # of a bond
NETWORK = a_network(
    epoch_blocks=4,
    vest_rounds=1,
    inner_steps=4,  # two segments
    train_blocks=3,
    reveal_blocks=2,
    hold_blocks=1,
    base_work_batches=5,
    base_fee_initial=11,
    block_gas_maximum=500_000,
    lane_gas_maximum=100_000,
    stake_minimum_nanos=MINIMUM,
    stake_target_nanos=4 * MINIMUM,
    reporter_maximum_nanos=20_000,
    unbonding_epochs=2,
    jail_epochs=1,
)
# They know each other's secrets, and one of them proposes every block. Dave has nothing to do with them.
COLLUDERS = tuple(map(a_key, ("alice", "bob", "carol", "erin", "frank")))
DAVE = a_key("dave")
NODES = tuple(a_key(f"node {i}") for i in range(4))
DAVES_NODE = a_key("dave's node")
TIP_MAXIMUM = 5  # what transactions allow above the base fee, nanos per gas
REFUSALS = (InvalidTransaction, NotEnoughFunds, BadSignature)


class Economy:
    """The ledger and the naive one live through the same history; `seen` counts what has happened in it."""

    def __init__(self) -> None:
        self.chain = Chain(NETWORK)
        self.naive = NaiveLedger(NETWORK.params, FOUNDER.address)
        self.seen: Counter[type] = Counter()
        self.silent: set[bytes] = set()  # validator keys that do not vote
        self.sets = {0: self.chain.state.validators(0)}
        self.last_held = (0, 0)
        self.dave_acts = False  # he pays fees then

    def fund(self, key: Key, amount: int) -> None:
        self.chain.fund(key, amount)
        self.naive.fund(key.address, amount)
        self.last_held = self.held()

    # ---- Blocks

    def proposal(self) -> Proposal:
        """Whoever is not Dave proposes."""
        keys = [member.public_key for member in self.chain.members]
        return self.chain.proposal(proposer=next((i for i, key in enumerate(keys) if key != voting_key(DAVE)), 0))

    def proposer(self) -> bytes:
        """Who gets the tips of the next block."""
        key = self.chain.members[self.proposal().proposer].public_key
        return next((wallet for wallet, named in self.naive.keys.items() if named == key), FOUNDER.address)

    def certificate(self) -> bytes:
        """The parent's notarization by all that are not silent."""
        parent = self.chain.parent
        if not parent.height:
            return b""
        members = self.chain.state.validators(parent.epoch).members
        return a_certificate(self.chain, [i for i, m in enumerate(members) if m.public_key not in self.silent])

    def build(self, transactions: Iterable[Transaction], proofs: Iterable[Proof]) -> Applied:
        chain = self.chain
        busy = {proof.node for proof in proofs}
        body = Body(tuple(proofs), tuple(transactions), self.round_inputs(busy), self.certificate())
        built = build_block(chain.state, chain.parent, self.proposal(), body, NETWORK, chain.nodes.get)
        received = Block.decode(built.block.encode())
        return apply_block(chain.state, chain.parent, received, NETWORK, chain.nodes.get, True)

    def round_inputs(self, busy: set[bytes]) -> tuple[RoundInput, ...]:
        """Whoever works shows its payload, and nobody holds one: each round is void, and pays what can be audited."""
        state = self.chain.state
        current = state.round(state.ledger.round)
        progress = Progress(state.fork(), self.chain.height + 1, self.chain.epoch, NETWORK)
        progress.begin()
        taken: list[RoundInput] = []
        for node in (*NODES, DAVES_NODE) if current else ():
            claim = state.find(Claim, claim_key(current.number, node.node))
            if claim is None or node.node in busy:
                continue
            is_last = self.chain.height + 2 >= current.deadline_height
            if current.phase == TRAINING and claim.commitment == ZERO and is_last:
                item: RoundInput = a_commit(self.chain, node)
            elif current.phase == REVEALING and claim.commitment != ZERO and claim.payload_root == ZERO:
                item = a_reveal(self.chain, node)
            else:
                continue
            with suppress(InvalidRoundInput):  # the phase may end before
                progress.take(item)
                taken.append(item)
        return tuple(taken)

    def keep(self, applied: Applied) -> None:
        """Go on with a block whose body the naive ledger has followed; it now follows the rest, and all is compared."""
        chain, naive = self.chain, self.naive
        supply = chain.state.supply
        epoch, ends = chain.epoch, (chain.height + 1) % NETWORK.params.epoch_blocks == 0
        chain._append(applied)
        receipts = applied.receipts
        self.seen.update(map(type, receipts))
        for receipt in receipts:
            if isinstance(receipt, RoundVoid):
                ended = chain.state.round(receipt.round)
                assert ended is not None
                naive.end_round(receipt.round, {revealed.node for revealed in ended.revealed})
        if ends:
            emission = naive.settle()
            assert emission == sum(r.amount for r in receipts if isinstance(r, Minted))
            naive.punish_together(epoch)
            for receipt in receipts:
                if isinstance(receipt, StakeLeft):
                    naive.let_go(receipt.wallet, receipt.amount, receipt.ready_epoch, epoch)
                if isinstance(receipt, Jailed):
                    naive.jailed[receipt.wallet] = receipt.until_epoch
            self.sets[epoch + 1] = chain.state.validators(epoch + 1)
        naive.release()
        for wallet in list(naive.keys):
            naive.forget(wallet)
        self.compare()
        self.receipts_tell_the_story(supply, receipts, ends)
        self.nobody_gains_without_work(receipts)

    def pass_time(self, blocks: int) -> None:
        for _ in range(blocks):
            self.keep(self.build([], []))

    def held(self) -> tuple[int, int]:
        """What the colluders own, and what Dave owns."""
        return self.naive.held(FOUNDER.address, *(key.address for key in COLLUDERS)), self.naive.held(DAVE.address)

    # ---- What holds after every block

    def compare(self) -> None:
        """Every pot, read from the records, holds what the naive ledger says, and the totals are their sums."""
        records, naive, supply = self.chain.records, self.naive, self.chain.state.supply
        by_kind = {kind: {k[1:]: v for k, v in records.items() if k[:1] == kind} for kind in (b"a", b"b", b"u", b"v")}
        balances = {key: Account.decode(value).balance for key, value in by_kind[b"a"].items()}
        stakes = {key: Stake.decode(value) for key, value in by_kind[b"b"].items()}
        bonded = {key: stake.bonded for key, stake in stakes.items()}
        unbonding = {key: Unbonding.decode(value).amount for key, value in by_kind[b"u"].items()}
        vesting = {key: Vesting.decode(value) for key, value in by_kind[b"v"].items()}
        assert some(balances) == some(naive.balances)
        assert some(bonded) == some(naive.bonded)
        assert some({key: stake.leaving for key, stake in stakes.items()}) == some(naive.leaving)
        assert some(unbonding) == some({w + e.to_bytes(8, "big"): held for (w, e), held in naive.unbonding.items()})
        assert {key: (pot.wallet, pot.amount) for key, pot in vesting.items()} == {
            number.to_bytes(8, "big") + node: pot for (number, node), pot in naive.vesting.items() if pot[1]
        }
        sums = [sum(pots.values()) for pots in (balances, bonded, unbonding)]
        sums.append(sum(pot.amount for pot in vesting.values()))
        assert [supply.balances, supply.bonded, supply.unbonding, supply.vesting] == sums
        assert (supply.escrow, supply.deposits) == (0, 0)
        assert (supply.minted, supply.burned) == (naive.minted, naive.burned)
        assert supply.minted - supply.burned == sum(sums)

    def receipts_tell_the_story(self, before: Supply, receipts: tuple[Receipt, ...], ends: bool) -> None:
        """Of what was minted and burned, of vesting, and of each penalty."""
        after = self.chain.state.supply
        minted = sum(r.amount for r in receipts if isinstance(r, Minted))
        assert after.minted - before.minted == minted
        assert after.burned - before.burned == sum(r.amount for r in receipts if isinstance(r, Burned))
        fees = sum(r.amount for r in receipts if isinstance(r, Burned) and r.reason == PROOF_FEE)
        released = sum(r.amount for r in receipts if isinstance(r, Released))
        assert after.vesting - before.vesting == minted - fees - released
        slashed = sum(r.amount for r in receipts if isinstance(r, Burned) and r.reason == SLASHED)
        at_once = sum(r.lost - r.reward for r in receipts if isinstance(r, Tombstoned))
        assert slashed == at_once or (ends and slashed > at_once)  # the second part of a penalty

    def nobody_gains_without_work(self, receipts: tuple[Receipt, ...]) -> None:
        before, self.last_held = self.last_held, self.held()
        gains = [after - held for after, held in zip(self.last_held, before, strict=True)]
        daves = sum(r.amount for r in receipts if isinstance(r, Minted) and r.wallet == DAVE.address)
        minted = sum(r.amount for r in receipts if isinstance(r, Minted))
        assert gains[0] <= minted - daves
        assert gains[1] >= 0 or self.dave_acts

    # ---- What people do: True if the protocol allows it

    def send(self, key: Key, action: Action, tip: int = 0, tell: Callable[[], None] | None = None) -> bool:
        """Put one transaction into a block, if both ledgers allow it. `tell`: what it says to the naive one."""
        is_free = isinstance(action, RegisterNode)
        max_fee = 0 if is_free else self.chain.state.ledger.base_fee + TIP_MAXIMUM
        transaction = a_transaction(self.chain, action, sender=key, max_fee=max_fee, tip=tip)
        allowed = self.naive.attempt(self.follow, key, transaction, tell)
        try:
            applied = self.build([transaction], [])
        except REFUSALS as error:
            assert not allowed, (action, error)
            return False
        assert allowed, action
        self.seen[type(action)] += 1
        self.dave_acts = key == DAVE
        self.keep(applied)
        self.dave_acts = False
        return True

    def follow(self, key: Key, transaction: Transaction, tell: Callable[[], None] | None) -> None:
        """The naive ledger does what a transaction says."""
        gas, base_fee = transaction_gas(transaction), self.chain.state.ledger.base_fee
        if not isinstance(transaction.action, RegisterNode):
            tip = min(transaction.tip, TIP_MAXIMUM)
            self.naive.fee(key.address, self.proposer(), gas * base_fee, gas * tip)
        if tell is None:
            self.naive.act(key.address, transaction.action, self.chain.epoch)
        else:
            tell()

    def bond(self, key: Key, amount: int, whose: Key | None = None, proven: bool = True) -> bool:
        """`whose` validator is named; `proven`: whether its key agrees to that."""
        voter = whose or key
        shown = a_possession(self.chain, key, voter) if proven else a_possession(self.chain, FOUNDER, voter)
        action = a_bond(self.chain, amount, key, shown, voter=voter).action
        return self.send(key, action, tell=lambda: self.naive.bond(key.address, amount, voting_key(voter), proven))

    def unbond(self, key: Key, amount: int) -> bool:
        return self.send(key, Unbond(amount))

    def pay_many(self, key: Key, amounts: list[tuple[Key, int]]) -> bool:
        return self.send(key, MultiTransfer(tuple(Payment(payee.address, amount) for payee, amount in amounts)))

    def register(self, key: Key, node: Key, intent: bool) -> bool:
        registration = a_registration(self.chain, wallet=key, node=node, intent=intent).action
        return self.send(key, registration, tell=lambda: self.naive.register(key.address, node.node, intent))

    def retire(self, key: Key, node: Key) -> bool:
        action = a_retirement(self.chain, wallet=key, node=node).action
        return self.send(key, action, tell=lambda: self.naive.retire(key.address, node.node))

    def work(self, node: Key) -> bool:
        """Prove a segment, if it is the time for it. Training is not money, so the ledger is believed."""
        proof = a_proof(self.chain, node)
        try:
            applied = self.build([], [proof])
        except InvalidProof:
            return False
        debt = proof_gas(proof) * self.chain.state.ledger.base_fee
        self.naive.claim(proof.round, node.node, proof.batches, debt)
        self.keep(applied)
        return True

    def accuse(self, reporter: Key, at: int, place: int, forged: bool = False) -> bool:
        member = self.sets[at].members[place]
        facts = (
            reporter.address,
            member.public_key,
            at,
            self.chain.epoch,
            (member.power, self.sets[at].power),
            not forged,
        )
        secret = secret_of(member.public_key) + forged
        blocks = named("one block"), named("another block")
        votes = [a_vote(self.chain, secret, block=block, epoch=at, signer=place) for block in blocks]
        return self.send(reporter, evidence_of(*votes), tell=lambda: self.naive.accuse(*facts))


def some(pots: dict) -> dict:
    """Without the empty ones."""
    return {key: amount for key, amount in pots.items() if amount}
