"""What one malicious peer or validator can try against the shell around consensus, and that the chain goes on."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from chain.block import Block
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, CertificateRequest, Proposal, Vote
from network.kinds import CERTIFICATE, CERTIFICATE_REQUEST, PROPOSAL, VOTE
from node import doppelganger
from node.block_exchange import compact
from node.early import BLOCKS_MAXIMUM, MESSAGES_OF_PEER, Early
from node.errors import NodeError, StoreError
from node.late_votes import LateVotes
from node.relay_messages import CompactProposal
from tests.node.little_network import LittleNetwork
from tests.node.quiet_world import QuietWorld, quiet_world, unsigned
from tests.simulator.adversaries import Outgoing
from tests.simulator.disk import Disk
from tests.simulator.genesis import first_records
from tests.simulator.machine import Machine
from tests.simulator.runtime import SimRuntime

HASH = b"\x07" * 32
HOUR_MS = 3_600_000


def an_offer(world: QuietWorld, leader: Machine, epoch: int, view: int, number: int = 0) -> CompactProposal:
    """A proposal that this leader has signed, of a block that stands on nothing."""
    assert leader.node is not None
    block = leader.node.view.find(leader.node.view.tip.hash)
    assert block is not None
    place = world.place(leader)
    header = replace(
        block.header, epoch=epoch, view=view, proposer=place, parent_hash=HASH, time_ms=block.header.time_ms + number
    )
    vote = world.signed(leader, Vote(NOTARIZE, epoch, view, header.hash(), place, bytes(96)))
    proposal = Proposal(epoch, view, 0, HASH, header.hash(), header.height, vote)
    return compact(proposal, Block(header, block.body))


# ---- Leaders


def test_a_leader_that_repeats_a_proposal_of_a_later_view_makes_nobody_wait() -> None:
    with quiet_world() as world:
        world.boot()
        evil = world.v[0]
        world.corrupt(evil)

        def repeat() -> None:
            view = world.next_led_by(evil, 8)
            offers.setdefault(view, an_offer(world, evil, 0, view).encode())
            world.say(evil, PROPOSAL, offers[view])

        offers: dict[int, bytes] = {}
        world.every(25, repeat)
        assert world.pass_ms(10_000) >= 6


def test_forged_votes_in_the_leaders_name_cost_their_deliverer_the_connection_and_no_block() -> None:
    with quiet_world() as world:
        world.boot()
        world.pass_ms(2_000)
        state, epoch = world.now(world.v[1])
        for view in range(state.view + 1, state.view + 5):
            signer = (state.turn.leader + view - state.view) % 4  # Equal members lead in turn.
            world.say(world.stranger, VOTE, unsigned(NOTARIZE, 0, view, HASH, signer).encode())
        assert world.pass_ms(3_200) >= 4
        assert world.now(world.v[1])[0].delta_ms == epoch.timing.base_ms
        assert f"a vote of view {state.view + 1} that its signer did not sign" in world.stranger.blamed


def test_two_validators_cannot_lend_each_other_their_turns() -> None:
    """The proposer of a block is who leads its view: everybody who replays the chain demands it."""
    with quiet_world() as world:
        world.boot()
        evil, friend = world.v[0], world.v[1]
        world.corrupt(evil)

        def outgoing(key: bytes, kind: int, payload: bytes) -> Outgoing:
            yield key, kind, lent(payload) if kind == PROPOSAL else payload

        def lent(payload: bytes) -> bytes:
            offer = CompactProposal.decode(payload)
            vote, view = offer.proposal.leader_vote, offer.header.view
            if vote.signer != world.place(evil):
                return payload
            reveal = friend.identity.beacon_reveal(world.network.chain_id, 0, view)
            header = replace(offer.header, proposer=world.place(friend), beacon_reveal=reveal)
            vote = world.signed(evil, replace(vote, block_hash=header.hash()))
            proposal = replace(offer.proposal, block_hash=header.hash(), leader_vote=vote)
            return replace(offer, header=header, proposal=proposal).encode()

        assert evil.adversary is not None
        evil.adversary.outgoing = outgoing  # type: ignore[method-assign]
        world.pass_ms(4_000)
        assert "a proposal names another proposer than its leader" in evil.blamed


# ---- Votes in our own name


def test_votes_forged_in_our_own_name_are_blamed_where_they_matter_and_cost_nothing_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[int] = []
    verify_vote = doppelganger.verify_vote

    def counted(vote: Vote, *rest: object) -> None:
        checked.append(vote.view)
        verify_vote(vote, *rest)  # type: ignore[arg-type]

    with quiet_world() as world:
        world.boot()
        victim = world.v[0]
        monkeypatch.setattr(doppelganger, "verify_vote", counted)
        state, _ = world.now(victim)
        for view in (state.root.view, state.view + 100, 1 << 63):
            world.say(world.stranger, VOTE, unsigned(NULLIFY, 0, view, bytes(32), world.place(victim)).encode(), victim)
        world.pass_ms(100)
        assert not checked and not world.stranger.blamed
        view = state.view + 1
        world.say(world.stranger, VOTE, unsigned(FINALIZE, 0, view, HASH, world.place(victim)).encode(), victim)
        world.pass_ms(100)
        assert checked == [view] and len(world.stranger.blamed) == 1
        assert world.pass_ms(2_000) >= 2


def test_certificates_of_views_that_are_over_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with quiet_world() as world:
        world.boot()
        world.pass_ms(3_000)
        victim = world.v[0]
        checks: list[object] = []
        monkeypatch.setattr(doppelganger, "verify_certificate", lambda *which: checks.append(which))
        state, _ = world.now(victim)
        signature = unsigned(NULLIFY, 0, 1, bytes(32), 0).signature
        false = Certificate(NULLIFY, 0, state.root.view, bytes(32), b"\x0f", signature)
        world.say(world.stranger, CERTIFICATE, false.encode(), victim)
        world.pass_ms(100)
        assert not checks


def test_two_machines_of_one_key_are_stopped_before_they_contradict_each_other() -> None:
    with quiet_world() as world:
        world.add_double(world.v[0])
        world.boot()
        world.pass_ms(5_000)
        assert len(world.ended) == 1 and "another machine runs with the same words" in str(world.ended[0])
        assert not world.watch.convicted


def test_two_machines_that_hear_others_at_the_same_moment_do_not_begin_to_vote_at_the_same_moment() -> None:
    network = LittleNetwork()
    ends: list[int] = []
    for name in ("one", "two", "three"):
        listening = doppelganger.Doppelganger(network.node(name), 12_000, bytes(48), None)  # type: ignore[arg-type]
        listening._then = lambda: ends.append(network.time_ms)
        listening.heard()
    network.run(20_000)
    assert len(ends) == 3 and min(ends) >= 12_000 and max(ends) <= 18_000
    assert all(later - earlier > 100 for earlier, later in pairwise(ends))


def test_who_comes_back_with_an_old_record_while_nothing_becomes_final_is_told_its_later_votes() -> None:
    """Two of four are down, so nobody certifies anything in which its lost vote could be seen."""
    with quiet_world() as world:
        world.boot()
        world.pass_ms(2_000)
        victim = world.v[0]
        world.corrupt(victim)
        world.note_end(victim)
        old = {name: bytes(file.content) for name, file in victim.disk.names.items()}
        for machine in world.v[2:]:
            machine.crash()
        world.pass_ms(20_000)
        assert (victim.place, 0, world.now(world.v[1])[0].view) in world.watch.votes or world.now(victim)[0].own
        victim.crash()
        for name, content in old.items():
            victim.disk.durable_names[name].durable = content
        victim.disk.crash()
        victim.boot()
        world.pass_ms(10_000)
        assert [type(error) for error in world.ended] == [NodeError]


def test_who_lost_its_disk_and_catches_up_from_the_first_block_votes_in_no_epoch_that_is_over() -> None:
    """Nor does it end because it hears what it said there in an earlier life. Its line is slow, so that it has time."""
    with quiet_world(epoch_blocks=6) as world:
        world.boot()
        world.pass_ms(20_000)
        victim = world.v[0]
        victim.crash()
        world.pass_ms(10_000)
        world.corrupt(victim)
        world.note_end(victim)
        victim.disk = Disk(world.clock.random("a new disk"))
        victim.disk.fill(first_records(world.network, world.stakes))
        said: list[Vote] = []
        assert victim.adversary is not None
        victim.adversary.outgoing = noted(said)  # type: ignore[method-assign]
        present = world.now(world.v[1])[1].number
        slow_down(world, victim, 2_000)
        victim.boot()
        world.pass_ms(10_000)
        assert victim.node is not None and 0 < victim.node.view.tip.epoch < present - 1
        world.pass_ms(30_000)
        assert not world.ended and victim.node.view.tip.epoch > present
        assert said and min(vote.epoch for vote in said) >= present - 1


def noted(said: list[Vote]) -> Callable[[bytes, int, bytes], Outgoing]:
    def outgoing(key: bytes, kind: int, payload: bytes) -> Outgoing:
        if kind == VOTE:
            said.append(Vote.decode(payload))
        yield key, kind, payload

    return outgoing


def slow_down(world: QuietWorld, machine: Machine, latency_ms: int) -> None:
    """Everything to and from this machine takes longer."""
    links, send = world.links, world.links.send

    def slowly(sender: SimRuntime, receiver: Machine, kind: int, payload: bytes) -> None:
        usual = links.quality
        if machine in (sender.machine, receiver):
            links.quality = replace(usual, latency_ms=latency_ms)
        send(sender, receiver, kind, payload)
        links.quality = usual

    links.send = slowly  # type: ignore[method-assign]


# ---- What cannot be checked yet


def test_of_the_next_epoch_each_peer_may_say_so_much_and_offer_one_block() -> None:
    early = Early()
    with quiet_world() as world:
        world.boot()
        block = world.v[1].node.view.find(world.v[1].node.view.tip.hash) if world.v[1].node else None
        vote = unsigned(NOTARIZE, 1, 1, HASH, 0)
        first, last, late = (Proposal(1, view, 0, HASH, HASH, 9, vote) for view in (1, 9, 10))
        assert not early.wants(b"a", late)
        early.add(b"a", first, block)
        assert not early.wants(b"a", last)
        for number in range(1, BLOCKS_MAXIMUM):
            early.add(b"%d" % number, last, block)
        assert not early.wants(b"new", first)
        for view in range(2 * MESSAGES_OF_PEER):
            early.add(b"a", replace(vote, view=view), None)
        early.add(b"new", vote, None)
        assert len(early) == MESSAGES_OF_PEER + BLOCKS_MAXIMUM
        early.left(b"1")
        assert early.wants(b"new", first)
        taken = early.take()
        assert taken[0] == (b"a", first, block) and taken[-1] == (b"new", vote, None)
        assert not len(early) and early.wants(b"a", first)


def test_a_stranger_fills_no_memory_with_proposals_of_the_next_epoch() -> None:
    with quiet_world() as world:
        world.boot()
        for number in range(30):
            world.say(world.stranger, PROPOSAL, an_offer(world, world.v[0], 1, 1, number).encode())
        world.pass_ms(1_000)
        assert all(len(machine.node.replica._early) == 1 for machine in world.v if machine.node)
        assert world.pass_ms(2_000) >= 2


def test_a_forged_late_vote_does_not_keep_the_true_one_out_of_the_next_block() -> None:
    with quiet_world() as world:
        world.boot()
        world.pass_ms(2_000)
        state, epoch = world.now(world.v[0])
        late = LateVotes(epoch.chain_id)
        true = world.signed(world.v[1], Vote(NOTARIZE, 0, state.view, HASH, 0, bytes(96)))
        late.add(unsigned(NOTARIZE, 0, state.view, HASH, true.signer), state, epoch.committee)
        for other in (b"\x08" * 32, b"\x09" * 32):
            with pytest.raises(Exception, match="does not verify"):
                late.add(unsigned(NOTARIZE, 0, state.view, other, true.signer), state, epoch.committee)
        late.add(true, state, epoch.committee)
        alone = Certificate(NOTARIZE, 0, state.view, HASH, b"\x00", b"\x80" + bytes(95))
        whole = late.complete(late.gather([alone], epoch.committee), epoch.committee)
        assert whole.bitmap == bytes((1 << true.signer,))


# ---- Whose fault it is


def test_a_fault_of_this_machine_that_a_message_brings_to_light_is_not_its_senders() -> None:
    class Broken:
        def handlers(self) -> dict[int, object]:
            return {VOTE: self.fail}

        def fail(self, key: bytes, payload: bytes) -> None:
            raise StoreError("the disk is failing")

    network = LittleNetwork()
    here, there = network.node("here"), network.node("there")
    failed: list[BaseException] = []
    here.fail = failed.append  # type: ignore[attr-defined]
    here.runs(Broken())  # type: ignore[arg-type]
    here.parts.received(there.key, VOTE, b"")
    assert [str(error) for error in failed] == ["the disk is failing"] and not here.blamed


def test_who_asks_for_an_epoch_that_this_node_has_no_certificates_of_is_not_blamed() -> None:
    """As after a start from a snapshot."""
    with quiet_world(epoch_blocks=4) as world:
        world.boot()
        world.pass_ms(6_000)
        node = world.v[0].node
        assert node is not None and world.now(world.v[0])[1].number > 1
        world.v[0].disk.write({b"f" + (4).to_bytes(8, "big"): None})
        world.say(world.stranger, CERTIFICATE_REQUEST, CertificateRequest(0, 1, 9).encode(), world.v[0])
        world.pass_ms(1_000)
        assert not world.stranger.blamed and node.view.final_certificate(4) == b""


# ---- Clocks


def test_when_all_clocks_are_set_back_together_the_chain_does_not_wait_for_them() -> None:
    with quiet_world() as world:
        world.boot()
        world.pass_ms(3_000)
        world.started_ms -= HOUR_MS
        world.watch.world.scenario = replace(
            world.scenario, skew_ms=2 * HOUR_MS
        )  # What the watch takes for the future.
        assert world.pass_ms(5_000) >= 5


def test_a_leader_whose_clock_is_an_hour_ahead_costs_its_own_views_and_no_time() -> None:
    with quiet_world() as world:
        world.boot()
        usual = world.pass_ms(12_000)
        world.v[0].skew_ms = HOUR_MS
        assert world.pass_ms(12_000) >= usual * 3 // 4 - 1
