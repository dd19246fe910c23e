"""A wallet's whole life beside a mempool that forgets, replaces and goes on: any order of events, told rightly.

What must hold: whatever the wallet drafts next is taken; of each nonce one transaction becomes final; what is said to
be final is, and what is said to be lost can be handed in at once.
"""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chain.transactions import Transaction, Transfer
from node.mempool import Caps
from tests.builders import ALICE, BOB
from tests.node.waiting import FEE, PLENTY, Waiters
from wallet.errors import TooManyWaiting
from wallet.folder import WalletFolder
from wallet.nonces import Standing, View, cancel, next_nonce, speed_up, standings, to_rebroadcast
from wallet.pending import Sent
from wallet.signing import Fees, UnsignedTransaction, draft, sign


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = Waiters()
        self.world.chain.fund(ALICE, PLENTY)
        self.folder = tempfile.TemporaryDirectory()
        self.file = WalletFolder(Path(self.folder.name)).pending
        self.final: dict[bytes, int] = {}  # ids on the ledger, with their nonces
        self.number = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    @property
    def chain_id(self) -> bytes:
        return self.world.chain.network.chain_id

    @property
    def sent(self) -> tuple[Sent, ...]:
        return self.file.of(ALICE.address, self.chain_id)

    @property
    def view(self) -> View:
        waiting = tuple(each.id for each in self.world.pool.waiting_of(ALICE.address))
        return View(self.world.chain.state.account(ALICE.address).nonce, waiting, frozenset(self.final))

    def _handed_in(self, unsigned: UnsignedTransaction, replaces: bool = False) -> None:
        self.number += 1
        sent = Sent(sign(unsigned, ALICE.secret), self.chain_id, self.number)
        self.file.record(sent, replaces)
        for each in to_rebroadcast(self.view, self.sent):
            self.world.add(each.transaction)
        self.world.add(sent.transaction)

    @rule(amount=st.integers(1, 1_000))
    def pay(self, amount: int) -> None:
        try:
            nonce = next_nonce(self.view, self.sent)
        except TooManyWaiting:
            assert len({each.nonce for each in self.sent if each.nonce >= self.view.nonce}) == 16
            return
        self._handed_in(draft(Transfer(BOB.address, amount), ALICE.public, nonce, Fees(FEE, 1), self.chain_id))

    @rule()
    def pay_but_die_before_it_left(self) -> None:
        try:
            nonce = next_nonce(self.view, self.sent)
        except TooManyWaiting:
            return
        self.number += 1
        made = draft(Transfer(BOB.address, self.number), ALICE.public, nonce, Fees(FEE, 1), self.chain_id)
        self.file.record(Sent(sign(made, ALICE.secret), self.chain_id, self.number))

    @precondition(lambda self: any(each.nonce >= self.view.nonce for each in self.sent))
    @rule(data=st.data(), undo=st.booleans())
    def replace(self, data: st.DataObject, undo: bool) -> None:
        target = data.draw(st.sampled_from([each for each in self.sent if each.nonce >= self.view.nonce]))
        made = (cancel if undo else speed_up)(target, self.sent, Fees(0, 0))
        self._handed_in(made, replaces=True)

    @rule()
    def the_node_forgets(self) -> None:
        self.world.clock.ms += Caps().time_to_live_ms
        self.world.follow()

    @rule(most=st.integers(1, 4))
    def a_block_takes_some(self, most: int) -> None:
        self._block(self.world.pool.ready()[:most])

    @precondition(lambda self: any(each.nonce == self.view.nonce for each in self.sent))
    @rule(data=st.data())
    def another_node_had_kept_a_copy(self, data: st.DataObject) -> None:
        """Any of the rivals may win, not only what this node holds."""
        rivals = [each for each in self.sent if each.nonce == self.view.nonce]
        self._block([data.draw(st.sampled_from(rivals)).transaction])

    @rule()
    def the_wallet_is_tidied(self) -> None:
        self.file.settle(ALICE.address, self.chain_id, self.view.nonce, 2**50)

    def _block(self, transactions: list[Transaction]) -> None:
        self.world.chain.quick_block(*transactions)
        self.final |= {each.id(self.chain_id): each.nonce for each in transactions}
        self.world.follow(ALICE)

    @invariant()
    def each_nonce_is_used_once(self) -> None:
        assert sorted(self.final.values()) == list(range(self.view.nonce))

    @invariant()
    def what_is_told_is_so(self) -> None:
        view, sent = self.view, self.sent
        for each, standing in standings(view, sent):
            assert (standing is Standing.FINAL) == (each.id in self.final)
            assert (standing is Standing.WAITING) == (each.id in view.waiting)
            # This wallet leaves no gap: what it lacks at the node can be handed in.
            assert standing not in (Standing.BLOCKED, Standing.USED)
        lost = {each.nonce for each, standing in standings(view, sent) if standing is Standing.LOST}
        assert lost == {each.nonce for each in to_rebroadcast(view, sent)}

    @invariant()
    def what_is_lost_can_be_handed_in(self) -> None:
        for each in to_rebroadcast(self.view, self.sent)[:1]:
            self.world.pool.check(each.transaction, self.world.chain.state)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
