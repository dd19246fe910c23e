"""What leaves first, what is dropped first, and how frames become messages again: pure, without a socket."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network import kinds
from network.inbox import Inbox, Memory
from network.kinds import KIB, KINDS, MIB
from network.limits import DROPPED_PER_FAULT, FLOODING, MALFORMED, UNKNOWN, Fault
from network.outbox import (
    BYTES_MAXIMUM,
    CONSENSUS_BYTES_MAXIMUM,
    FAIR_BYTES,
    FRAME_BYTES_MAXIMUM,
    MESSAGE_OVERHEAD,
    MESSAGES_MAXIMUM,
    Outbox,
    Overflow,
    Pool,
)

FRAME = FRAME_BYTES_MAXIMUM
BIG = 4 * MIB - MESSAGE_OVERHEAD  # four of them fill an outbox


def drained(outbox: Outbox) -> list[bytes]:
    frames = []
    while (taken := outbox.take()) is not None:
        frames.append(taken[0])
    return frames


def kinds_left(outbox: Outbox) -> list[int]:
    """The kinds of the messages that leave, in their order."""
    return [frame[0] for frame in drained(outbox) if frame[0] < 0x80]


# ---- Out


def test_urgent_kinds_leave_first_and_each_priority_in_its_order():
    outbox = Outbox(Pool())
    order = (kinds.ADDRESSES, kinds.ANNOUNCE, kinds.STATUS, kinds.CLAIM, kinds.BLOCK, kinds.VOTE, kinds.CERTIFICATE)
    for kind in order:
        assert outbox.put(kind, b"")
    assert kinds_left(outbox) == [kinds.VOTE, kinds.CERTIFICATE, *reversed(order[:5])]


def test_a_vote_leaves_between_the_frames_of_a_block():
    outbox = Outbox(Pool())
    outbox.put(kinds.BLOCK, bytes(3 * FRAME))
    assert outbox.take() == (bytes([kinds.BLOCK | 0x80]) + bytes(FRAME), 0, 0)
    outbox.put(kinds.VOTE, b"vote")
    assert outbox.take() == (bytes([kinds.VOTE]) + b"vote", kinds.VOTE, 4)
    assert len(drained(outbox)) == 2


@pytest.mark.parametrize(("size", "frames"), [(0, 1), (1, 1), (FRAME, 1), (FRAME + 1, 2), (2 * FRAME, 2)])
def test_a_message_is_cut_into_as_few_frames_as_can_be(size, frames):
    outbox = Outbox(Pool())
    outbox.put(kinds.BLOCK, bytes(size))
    sent = drained(outbox)
    assert [bool(frame[0] & 0x80) for frame in sent] == [True] * (frames - 1) + [False]
    assert sum(len(frame) - 1 for frame in sent) == size and outbox.size == 0


def test_when_it_is_full_the_least_urgent_goes_first_and_the_latest_of_it():
    outbox = Outbox(Pool())
    outbox.put(kinds.ADDRESSES, bytes(60 * KIB))
    for _ in range(3):
        outbox.put(kinds.RANGE, bytes(BIG))
    outbox.put(kinds.ANNOUNCE, b"first" + bytes(2 * MIB))
    outbox.put(kinds.ANNOUNCE, b"last" + bytes(MIB))
    assert outbox.put(kinds.PROPOSAL, bytes(2 * MIB - KIB))  # addresses and the last announcement go
    assert outbox.dropped == 2
    assert not outbox.put(kinds.ADDRESSES, bytes(60 * KIB))  # nothing is less urgent
    assert outbox.put(kinds.BLOCK, bytes(BIG)) and outbox.dropped == 5  # the first announcement and blocks of a sync go
    assert kinds_left(outbox) == [kinds.PROPOSAL, kinds.BLOCK, kinds.RANGE, kinds.RANGE]


def test_it_holds_its_bound_and_not_a_byte_more():
    outbox = Outbox(Pool())
    for _ in range(3):
        assert outbox.put(kinds.BLOCK, bytes(BIG))
    assert not outbox.put(kinds.RANGE, bytes(BIG + 1))
    assert outbox.put(kinds.RANGE, bytes(BIG)) and outbox.size == BYTES_MAXIMUM
    assert not outbox.put(kinds.CLAIM, bytes(BYTES_MAXIMUM))  # nothing is dropped for what will not fit even so
    assert len(outbox) == 4


def test_a_message_that_has_begun_to_leave_is_not_dropped():
    outbox = Outbox(Pool())
    outbox.put(kinds.RANGE, bytes(BIG))
    outbox.take()
    for _ in range(3):
        outbox.put(kinds.BLOCK, bytes(BIG))
    with pytest.raises(Overflow):
        outbox.put(kinds.BLOCK, b"")
    assert kinds_left(outbox) == [kinds.BLOCK] * 3 + [kinds.RANGE]


def test_blocks_and_consensus_that_do_not_fit_are_an_overflow():
    outbox = Outbox(Pool())
    votes = CONSENSUS_BYTES_MAXIMUM // (KIB + MESSAGE_OVERHEAD)
    for _ in range(votes):
        assert outbox.put(kinds.VOTE, bytes(KIB))
    with pytest.raises(Overflow):
        outbox.put(kinds.VOTE, bytes(KIB))
    for _ in range(4):
        assert outbox.put(kinds.BLOCK, bytes(BIG))  # consensus has its own share
    with pytest.raises(Overflow):
        outbox.put(kinds.PROPOSAL, b"")


def test_empty_messages_are_bounded_too():
    outbox = Outbox(Pool())
    assert all(outbox.put(kinds.ADDRESSES_REQUEST, b"") for _ in range(MESSAGES_MAXIMUM))
    assert not outbox.put(kinds.ADDRESSES_REQUEST, b"")


def test_all_outboxes_together_are_bounded_but_each_has_a_fair_share():
    pool = Pool(bytes_maximum=8 * MIB)
    greedy, fair = Outbox(pool), Outbox(pool)
    assert greedy.put(kinds.RANGE, bytes(8 * MIB - MESSAGE_OVERHEAD))
    assert not fair.put(kinds.RANGE, bytes(FAIR_BYTES))
    assert fair.put(kinds.RANGE, bytes(FAIR_BYTES - MESSAGE_OVERHEAD))
    assert fair.put(kinds.BLOCK, bytes(BIG)) and fair.put(kinds.VOTE, b"")  # never refused for others' sake
    greedy.close()
    fair.close()
    assert pool.used == 0


# ---- In


def message(kind: int, size: int, inbox: Inbox, now: float = 0.0) -> object:
    """What comes of a message of so many bytes: itself, or the first fault, or nothing."""
    outbox = Outbox(Pool(), bytes_maximum=1 << 40)
    outbox.put(kind, bytes(size))
    results = [inbox.take(frame, now) for frame in drained(outbox)]
    return next((result for result in results if result is not None), None)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([kinds.BLOCK, kinds.RANGE, kinds.TRANSACTION, kinds.CLAIM, kinds.VOTE]),
            st.sampled_from([0, 1, 999, FRAME, FRAME + 1, 3 * FRAME]),
            st.integers(0, 4),
        ),
        max_size=12,
    )
)
def test_what_goes_in_comes_out_whatever_is_between(script):
    outbox, inbox = Outbox(Pool()), Inbox(Memory())
    sent: list[tuple[int, bytes]] = []
    came = []
    for number, (kind, size, frames) in enumerate(script):
        payload = bytes([number]) * min(size, KINDS[kind].bytes_maximum)
        sent.append((kind, payload))
        outbox.put(kind, payload)
        came += [inbox.take(taken[0], 0.0) for taken in (outbox.take() for _ in range(frames)) if taken]
    came += [inbox.take(frame, 0.0) for frame in drained(outbox)]
    whole = [result for result in came if result is not None]
    assert sorted(whole) == sorted(sent)
    for priority in range(6):
        assert [m for m in whole if KINDS[m[0]].priority == priority] == [
            m for m in sent if KINDS[m[0]].priority == priority
        ]


@pytest.mark.parametrize("kind", [kinds.VOTE, kinds.BLOCK_REQUEST, kinds.CLAIM, kinds.STATE, kinds.PAGE, kinds.BLOCK])
def test_a_kind_may_be_as_large_as_the_table_says_and_no_larger(kind):
    size = KINDS[kind].bytes_maximum
    assert message(kind, size, Inbox(Memory())) == (kind, bytes(size))
    over = message(kind, size + 1, Inbox(Memory()))
    assert isinstance(over, Fault) and over.points == MALFORMED


BEGUN = bytes([kinds.BLOCK | 0x80]) + bytes(FRAME)


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [bytes([kinds.BLOCK]) + bytes(FRAME + 1)],
        [bytes([kinds.BLOCK | 0x80])],  # a piece that is not full
        [bytes([kinds.BLOCK | 0x80]) + bytes(FRAME - 1)],
        [BEGUN, bytes([kinds.BLOCK])],  # the rest is nothing
        [BEGUN, bytes([kinds.PROPOSAL]) + b"x"],  # another kind of the same priority in its middle
        [bytes([kinds.VOTE | 0x80]) + bytes(FRAME)],  # more than its kind may have
    ],
)
def test_frames_that_no_node_sends_are_malformed(frames):
    inbox = Inbox(Memory())
    *before, last = [inbox.take(frame, 0.0) for frame in frames]
    assert before == [None] * len(before)
    assert isinstance(last, Fault) and last.points == MALFORMED


def test_above_its_rate_a_kind_is_dropped_and_told_now_and_then():
    inbox, limit = Inbox(Memory()), KINDS[kinds.ADDRESSES_REQUEST].per_minute
    frame = bytes([kinds.ADDRESSES_REQUEST])
    assert [inbox.take(frame, 0.0) for _ in range(limit)] == [(kinds.ADDRESSES_REQUEST, b"")] * limit
    above = [inbox.take(frame, 0.0) for _ in range(DROPPED_PER_FAULT + 1)]
    assert isinstance(above[0], Fault) and above[0].points == FLOODING
    assert above[1:-1] == [None] * (DROPPED_PER_FAULT - 1) and isinstance(above[-1], Fault)
    assert inbox.take(bytes([kinds.ADDRESSES]), 0.0) == (kinds.ADDRESSES, b"")  # others are not concerned
    assert inbox.take(frame, 4.9) is None
    assert inbox.take(frame, 5.0) == (kinds.ADDRESSES_REQUEST, b"")  # a minute's twelfth has flowed in


def test_bytes_have_a_rate_of_their_own_and_a_message_above_it_is_dropped_whole():
    inbox, kind = Inbox(memory := Memory()), KINDS[kinds.STATE]
    for _ in range(kind.bytes_per_minute // kind.bytes_maximum):
        assert message(kinds.STATE, kind.bytes_maximum, inbox) == (kinds.STATE, bytes(kind.bytes_maximum))
    above = message(kinds.STATE, 3 * FRAME, inbox)
    assert isinstance(above, Fault) and above.points == FLOODING
    assert message(kinds.STATE, 3 * FRAME, Inbox(memory)) == (kinds.STATE, bytes(3 * FRAME))
    assert memory.used == 0
    assert message(kinds.STATE, 1, inbox, 60.0) == (kinds.STATE, b"\x00")


def test_unknown_kinds_are_ignored_within_a_rate():
    inbox = Inbox(Memory())
    frames = [bytes([number | more]) + b"x" for number in (0, 99, 127) for more in (0, 0x80)]
    assert [inbox.take(frames[i % 6], 0.0) for i in range(UNKNOWN.per_minute)] == [None] * UNKNOWN.per_minute
    fault = inbox.take(frames[0], 0.0)
    assert isinstance(fault, Fault) and fault.points == FLOODING
    assert inbox.unknown == UNKNOWN.per_minute + 1


def test_unfinished_messages_of_all_peers_are_bounded_and_the_oldest_has_to_go():
    memory = Memory(bytes_maximum=3 * FRAME)
    stalled, busy = Inbox(memory), Inbox(memory)
    assert stalled.take(BEGUN, 0.0) is None and busy.take(BEGUN, 0.0) is None and busy.take(BEGUN, 0.0) is None
    assert memory.used == 3 * FRAME
    assert busy.take(BEGUN, 0.0) is None and memory.used == 3 * FRAME
    assert busy.take(bytes([kinds.BLOCK]) + b"end", 0.0) == (kinds.BLOCK, bytes(3 * FRAME) + b"end")
    assert memory.used == 0
    assert stalled.take(bytes([kinds.BLOCK]) + b"end", 0.0) is None  # its message is lost, the next is not
    assert message(kinds.BLOCK, 2 * FRAME, stalled) == (kinds.BLOCK, bytes(2 * FRAME))


def test_a_peer_that_leaves_frees_what_it_held():
    memory = Memory()
    inbox = Inbox(memory)
    inbox.take(BEGUN, 0.0)
    inbox.close()
    assert memory.used == 0
