"""The shell around consensus: performs the effects of `consensus.step`, feeds back what happened. See `Replica.start`.

One event is handled at a time and its effects in their order. A vote is on disk before it counts anywhere, a block
before it is voted for, a notarization before FINALIZE is voted on it. Whatever takes time is done aside and comes back
as an event. What a stranger sends costs him at most his connection.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace

from chain.block import Block
from chain.crypto import bls
from chain.errors import NeuroError
from chain.transition import Applied, epoch_of
from consensus import events as ev
from consensus.messages import NOTARIZE, Certificate, CertificateRequest, Message, Proposal, Vote, vote_message
from consensus.state import Epoch, State
from consensus.step import start, step
from network.kinds import CERTIFICATE, CERTIFICATE_REQUEST, VOTE
from network.peer import Peer
from node.block_exchange import BlockExchange
from node.block_sync import BEHIND_BLOCKS
from node.candidates import Candidates, is_new, is_worth_it
from node.doppelganger import MARGIN_MS, Doppelganger
from node.early import Early
from node.epochs import epoch_at_tip
from node.errands import Errands
from node.errors import NodeError
from node.judging import Judging
from node.late_votes import LateVotes
from node.own import Hooks, Own
from node.pacing import Pacing
from node.parts import Handler
from node.runtime import INVALID, LEDGER, VOTES, Runtime
from node.standing import Standing
from node.view_timers import ViewTimers
from node.voice import Voice
from node.vote_relay import VoteRelay

STEPS = "steps"  # lane of consensus steps where signatures take long
EVENTS_MAXIMUM = 8_192  # waiting: above this, messages are dropped, which is as if the network had lost them


class Replica:
    """Consensus for one node, whether or not it is a validator now."""

    def __init__(self, runtime: Runtime, own: Own, blocks: BlockExchange, standing: Standing, hooks: Hooks) -> None:
        self.runtime, self.blocks, self.standing, self.hooks = runtime, blocks, standing, hooks
        self.view, self.identity, self.sign_state = own.view, own.identity, own.sign_state
        self.network = own.view.network
        self.late = LateVotes(self.network.chain_id)
        self.candidates = Candidates(own.view)
        self.pacing = Pacing(runtime, own.view, own.producer)
        self.errands = Errands(Judging(runtime, own, self.candidates, self.late), self.pacing, blocks, self.candidates)
        wait_ms = self.network.params.block_interval_max_ms + MARGIN_MS if own.has_peers else 0
        self.doppelganger = Doppelganger(runtime, wait_ms, own.identity.validator_public_key, own.sign_state)
        self.doppelganger.is_over_elsewhere = self._is_left_behind
        self.voice = Voice(runtime, standing, blocks, self.candidates)
        self.timers = ViewTimers(runtime)
        self.relay = VoteRelay(runtime, standing, self.network.chain_id)
        self.epoch: Epoch | None = None
        self.state: State | None = None  # None: between two epochs
        self._events: deque[ev.Event] = deque()
        self._effects: deque[ev.Effect] = deque()
        self._early = Early()
        self._busy = False
        self._stopped = False
        self._life = 0  # counts epochs begun: answers to questions of an earlier one are void
        blocks.on_proposal, blocks.wants = self._receive, self._wants

    # ---- Life

    def start(self) -> None:
        """Take part from the last final block on."""
        self._begin_epoch()

    def stop(self) -> None:
        """Nothing is sent, decided or asked for any more."""
        self._stopped = True
        self._drop_epoch()
        self.doppelganger.stop()

    def news(self) -> None:
        """Something that belongs into a block has come: a leader proposes sooner, the others wait less for him."""
        self.pacing.wake()
        self._hurry()

    def handlers(self) -> Mapping[int, Handler]:
        return {
            VOTE: lambda key, payload: self._receive(key, Vote.decode(payload)),
            CERTIFICATE: lambda key, payload: self._receive(key, Certificate.decode(payload)),
            CERTIFICATE_REQUEST: lambda key, payload: self._receive(key, CertificateRequest.decode(payload)),
        }

    def joined(self, peer: Peer) -> None:
        self.doppelganger.heard()
        if self.state is not None and self.epoch is not None:
            self.relay.remind(peer.key, self.epoch.committee, self.state)

    def left(self, key: bytes) -> None:
        self._early.left(key)

    def synced(self, certificate: Certificate, height: int) -> None:
        """Block sync has made everything up to this block final, whose own certificate is given."""
        if self.state is None or self.epoch is None:
            return  # The epoch that begins reads the ledger itself.
        if certificate.epoch > self.epoch.number:
            self._end_epoch()
        elif certificate.epoch == self.epoch.number:
            self._post(ev.Installed(certificate, height))
        # Else its epoch is over here already. Ours must not begin twice: its first votes may be on their way.

    # ---- Messages in

    def _wants(self, key: bytes, proposal: Proposal) -> bool:
        """Whether a proposal is worth getting its block. Raises BadVote."""
        state, epoch = self.state, self.epoch
        if state is None or epoch is None or proposal.epoch != epoch.number:
            return epoch is not None and proposal.epoch == epoch.number + 1 and self._early.wants(key, proposal)
        return is_worth_it(proposal, state, epoch)

    def _receive(self, key: bytes, message: Message, block: Block | None = None) -> None:
        """A message has come. With a proposal comes its block, whose header says the same."""
        number = epoch_of(self.view.tip.height + 1, self.network.params) if self.epoch is None else self.epoch.number
        if self._stopped:
            return
        if self.state is None or message.epoch == number + 1:
            if number <= message.epoch <= number + 1:
                self._early.add(key, message, block)
            return
        if message.epoch < number:
            self._answer_old(key, message)
        elif message.epoch == number and len(self._events) < EVENTS_MAXIMUM:
            try:
                self._take(key, message, block)
            except NodeError as error:
                self.runtime.fail(error)
            except NeuroError as error:
                self.runtime.blame(key, INVALID, str(error))

    def _take(self, key: bytes, message: Message, block: Block | None) -> None:
        """A message of the present epoch."""
        assert self.epoch is not None and self.state is not None
        self.doppelganger.look(message, self.epoch, self.state)
        if isinstance(message, Vote):
            self.late.add(message, self.state, self.epoch.committee)
            self.relay.pass_on(message, key, self.epoch.committee, self.state)
        if isinstance(message, Proposal):
            assert block is not None
            if not self.candidates.offer(message, block):
                return
        self._post(ev.Received(key, message))
        if isinstance(message, Certificate):
            self.blocks.hint(message.block_hash, key)

    def _answer_old(self, key: bytes, message: Message) -> None:
        """Who asks for certificates of an epoch that is over gets the one that ended it."""
        if isinstance(message, CertificateRequest):
            last = (message.epoch + 1) * self.network.params.epoch_blocks
            if last <= self.view.tip.height and (encoded := self.view.final_certificate(last)):
                self.runtime.send(key, CERTIFICATE, encoded)

    # ---- The pump

    def _post(self, event: ev.Event) -> None:
        self._events.append(event)
        self._pump()

    def _pump(self) -> None:
        """Go on until there is nothing to do, or something has to be waited for."""
        if self._busy or self._stopped:
            return
        self._busy = True
        try:
            while not self._stopped:
                if self._effects:
                    if self._perform(self._effects.popleft()):
                        return  # Still busy: what was begun calls `_resume`.
                elif self._events and self.state is not None:
                    event = self._events.popleft()
                    if bls.back_end() == "py_ecc":
                        return self._step_aside(event)
                    assert self.epoch is not None
                    self._stepped(event, step(self.state, event, self.epoch))
                else:
                    break
        except NeuroError as error:
            self.runtime.fail(error)  # Strangers' errors end within the step: this one is ours, whoever set it off.
        self._busy = False

    def _resume(self, life: int) -> None:
        if life == self._life:
            self._busy = False
            self._pump()

    def _step_aside(self, event: ev.Event) -> None:
        """With slow signatures one step takes a second: the event loop must not."""
        state, epoch, life = self.state, self.epoch, self._life
        assert state is not None and epoch is not None

        def done(result: tuple[State, tuple[ev.Effect, ...]]) -> None:
            if life == self._life:
                self._stepped(event, result)
                self._resume(life)

        self.runtime.offload(STEPS, lambda: step(state, event, epoch), done)

    def _stepped(self, event: ev.Event, result: tuple[State, tuple[ev.Effect, ...]]) -> None:
        assert self.state is not None and self.epoch is not None
        before = self.state
        self.state, effects = result
        if isinstance(event, ev.Signed):
            self.late.add(event.vote, self.state, self.epoch.committee)
        if self.state.view != before.view:
            self.candidates.tidy(self.state, self.epoch)
        if isinstance(event, ev.Received) and isinstance(event.message, Proposal):
            self._proposal_stepped(event.peer, event.message, before)
        self._effects.extend(effects)

    def _proposal_stepped(self, key: bytes, proposal: Proposal, before: State) -> None:
        assert self.state is not None and self.epoch is not None
        if self.state is before:  # Refused. Blame alone says less: forged votes of others are found in this step, too.
            self.candidates.refused(proposal.block_hash, self.state)
        elif is_new(proposal, before, self.state):
            self.pacing.block_came()
            self.late.add(proposal.leader_vote, self.state, self.epoch.committee)
            self.relay.pass_proposal_on(proposal, key, self.blocks, self.candidates.find(proposal.block_hash))

    # ---- Effects

    def _perform(self, effect: ev.Effect) -> bool:
        """True: nothing else may happen before `_resume`."""
        match effect:
            case ev.CastVote(kind, _, _, block_hash) if kind == NOTARIZE and not self.view.has(block_hash):
                # A disk lost the block that we voted for. Repeating the vote alone would certify what nobody can show;
                # without it the view is given up, which the recorded vote allows.
                pass
            case ev.CastVote():
                self._cast(effect)
            case ev.Keep(certificate):
                life = self._life
                self.runtime.offload(VOTES, lambda: self.view.keep(certificate), lambda _: self._resume(life))
                return True
            case ev.Broadcast(message):
                self.voice.broadcast(message)
            case ev.Send(key, message):
                self.voice.send([key], message)
            case ev.SetTimer(kind, view, delay_ms):
                self.timers.set(kind, delay_ms, self._fire(kind, view))
                if kind == ev.LEADER:
                    self._hurry()
            case ev.Propose() | ev.Judge() | ev.FetchBlock():
                self._work(effect)
            case ev.Finalized(block_hash, _, certificate):
                self.errands.finalize(block_hash, certificate, self._finalized)
            case ev.EndEpoch():
                self._end_epoch()
            case _:
                self._accuse(effect)
        return False

    def _accuse(self, effect: ev.Effect) -> None:
        match effect:
            case ev.Report():
                self.hooks.report(effect.evidence)
            case ev.Accuse():
                self.hooks.accuse(effect.first, effect.second)
            case ev.Blame():
                self.runtime.blame(effect.peer, INVALID, effect.reason)
            case ev.Halt(reason):
                raise NodeError(f"finality is contradicted: {reason}; stop and ask the other operators")

    def _cast(self, effect: ev.CastVote) -> None:
        assert self.epoch is not None and self.epoch.us is not None
        us = self.epoch.us

        if self._is_left_behind():
            return  # It is asked for again if the view lasts.

        def record() -> Vote | None:
            if (effect.epoch, effect.view) <= self.sign_state.floor:
                return None  # A block there has become final meanwhile.
            self.sign_state.record(effect.kind, effect.epoch, effect.view, effect.block_hash)
            return self._signed(effect, us)

        self.runtime.offload(VOTES, record, self._answer(ev.Signed))

    def _is_left_behind(self) -> bool:
        """Whether our votes come too late for anybody. Who has lost its record may have said something else here."""
        return self.state is not None and self.standing.are_others_above(self.state.root.height + BEHIND_BLOCKS)

    def _signed(self, cast: ev.CastVote, us: int) -> Vote:
        message = vote_message(self.network.chain_id, cast.kind, cast.epoch, cast.view, cast.block_hash)
        signature = bls.sign(self.identity.validator_secret, message)
        return Vote(cast.kind, cast.epoch, cast.view, cast.block_hash, us, signature)

    def _answer(self, make: Callable[..., ev.Event]) -> Callable[..., None]:
        """A callback that posts an event of this life; None means that there is nothing to say."""
        life = self._life

        def post(*answer: object) -> None:
            if life == self._life and not self._stopped and answer != (None,):
                self._post(make(*answer))

        return post

    def _work(self, effect: ev.Propose | ev.Judge | ev.FetchBlock) -> None:
        assert self.epoch is not None and self.state is not None
        candidates = self.candidates
        match effect:
            case ev.Propose(view, parent_hash, _):
                built = self._answer(lambda block_hash: ev.Built(view, block_hash))
                self.errands.propose(
                    effect, self.epoch, lambda: candidates.certificates_of(parent_hash, self.state), built
                )
            case ev.Judge(view, block_hash):
                verdict = self._answer(lambda valid: ev.Judged(view, block_hash, valid))
                known = candidates.certificates_of(candidates.parent_of(block_hash), self.state)
                self.errands.judging.judge(block_hash, self.epoch, known, verdict)
            case ev.FetchBlock(_, block_hash):
                self.errands.fetch(block_hash, self._answer(ev.Linked))

    def _finalized(self, blocks: list[Applied]) -> None:
        if self._stopped:
            return
        for applied in blocks:
            self.passed(applied)
        self.pacing.wake()

    def passed(self, applied: Applied) -> None:
        """A block has become final, here or by block sync."""
        header = applied.block.header
        self.candidates.drop_up_to(header.height)
        if header.height % self.network.params.epoch_blocks == 0:
            # In the lane of votes: a record that is being replaced must not miss one that is being written.
            self.runtime.offload(VOTES, lambda: self.sign_state.prune(header.epoch, header.view), lambda _: None)
        self.standing.changed()
        self.hooks.on_final(applied)

    def _fire(self, kind: str, view: int) -> Callable[[], None]:
        return self._answer(lambda: ev.TimerFired(kind, view))

    def _hurry(self) -> None:
        """A leader with nothing to say may wait for long; once there is something, only for the usual interval."""
        state = self.state
        if state is not None and state.view not in state.proposals:
            longest = 2 * state.delta_ms + self.network.params.block_interval_ms
            if self.timers.is_later(ev.LEADER, longest) and self.pacing.has_news(self.view.state()):
                self.timers.set(ev.LEADER, longest, self._fire(ev.LEADER, state.view))

    # ---- Epochs

    def _end_epoch(self) -> None:
        """The next epoch begins once the last block, and the votes on their way, are on disk."""
        self._drop_epoch()
        life = self._life

        def begin(_: None) -> None:
            if life == self._life:
                self._begin_epoch()

        self.runtime.offload(LEDGER, lambda: None, lambda _: self.runtime.offload(VOTES, lambda: None, begin))

    def _drop_epoch(self) -> None:
        self._life += 1
        self._busy = False
        self.state = None
        self._events.clear()
        self._effects.clear()
        self.timers.cancel()
        self.pacing.cancel()

    def _begin_epoch(self) -> None:
        """Set up the committee that the state names, and go on from the last final block."""
        if self._stopped:
            return
        self._drop_epoch()
        epoch, root = epoch_at_tip(self.view, self.identity.validator_public_key)
        if epoch.us is not None and not self.doppelganger.may_vote(epoch.committee, epoch.us, self._begin_epoch):
            epoch = replace(epoch, us=None)
        self.epoch = epoch
        self.standing.enter(epoch.number, epoch.committee, epoch.us)
        self.hooks.on_epoch(epoch)
        # Who only listens repeats no votes either.
        own = {} if epoch.us is None else self.sign_state.own_votes(epoch.number)
        final = self.view.final_certificate(self.view.tip.height) if root is not None else b""
        known = Certificate.decode(final) if final else None
        self.state, effects = start(epoch, root, own, self.view.kept(), final=known)
        self._effects.extend(effects)
        self._pump()
        for key, message, block in self._early.take():
            self._receive(key, message, block)
