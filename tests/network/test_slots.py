"""Places for peers that dial us, and which of two connections with one peer stays."""

from types import SimpleNamespace

import pytest

from network.links import Link, Links
from network.peer import Peer
from network.slots import Full, Inbound, Place, SlotLimits, find_place
from network.subnets import Address

LIMITS = SlotLimits(inbound=8, validators=3, per_subnet=2)


def peer(number: int, subnet: str | None = None, is_validator: bool = False, score: int = 0) -> Inbound:
    name = f"net {number}" if subnet is None else subnet
    return Inbound(b"key %d" % number, name, is_validator, score, since_ms=number)


def strangers(count: int, **more: object) -> list[Inbound]:
    return [peer(number, **more) for number in range(count)]


def test_strangers_find_places_up_to_the_validators_share():
    assert find_place(peer(99), strangers(4), LIMITS) == Place()
    assert isinstance(find_place(peer(99), strangers(5), LIMITS), Full)


def test_a_validator_finds_a_place_when_strangers_have_all_of_theirs():
    assert find_place(peer(99, is_validator=True), strangers(5), LIMITS) == Place()


def test_validators_may_take_every_place_and_put_out_strangers_last():
    validators = [peer(number, is_validator=True) for number in range(10, 17)]
    assert find_place(peer(99, is_validator=True), validators, LIMITS) == Place()
    full = [*validators, peer(1)]
    assert find_place(peer(99, is_validator=True), full, LIMITS) == Place(evicted=b"key 1")
    all_validators = [*validators, peer(1, is_validator=True)]
    assert isinstance(find_place(peer(99, is_validator=True), all_validators, LIMITS), Full)
    assert isinstance(find_place(peer(99), all_validators, LIMITS), Full)


def test_one_subnet_has_few_places_except_for_validators_and_where_there_are_none():
    crowd = strangers(2, subnet="crowd")
    assert find_place(peer(99, "crowd"), crowd[:1], LIMITS) == Place()
    assert isinstance(find_place(peer(99, "crowd"), crowd, LIMITS), Full)
    assert find_place(peer(99, "crowd", is_validator=True), crowd, LIMITS) == Place()
    assert find_place(peer(99, ""), strangers(4, subnet=""), LIMITS) == Place()


def test_the_worst_stranger_gives_way_to_a_better_one():
    full = [*strangers(4), peer(7, score=-10)]
    assert find_place(peer(99), full, LIMITS) == Place(evicted=b"key 7")
    assert isinstance(find_place(peer(99, score=-10), full, LIMITS), Full)


def test_a_validator_with_the_worst_score_stays():
    full = [*strangers(5), peer(7, score=-90, is_validator=True)]
    assert isinstance(find_place(peer(99), full, LIMITS), Full)


def test_a_crowded_subnet_gives_way_to_one_with_nobody_but_not_if_its_peers_were_useful():
    limits = SlotLimits(inbound=5, validators=1, per_subnet=3)
    full = [*strangers(3, subnet="crowd"), peer(8)]
    assert find_place(peer(99), full, limits) == Place(evicted=b"key 2")  # the latest of the crowd
    useful = [*strangers(3, subnet="crowd", score=1), peer(8, score=1)]
    assert isinstance(find_place(peer(99), useful, limits), Full)


def test_in_its_own_subnet_a_peer_takes_the_place_of_a_worse_one_only():
    crowd = [peer(1, "crowd", score=-5), peer(2, "crowd")]
    assert find_place(peer(99, "crowd"), crowd, LIMITS) == Place(evicted=b"key 1")


# ---- Two connections with one peer

SMALL, LARGE = b"\x02" + bytes(32), b"\x03" + bytes(32)


def link(key: bytes, outbound: bool) -> Link:
    known = Peer(key, "20.0.0.1:1", outbound, 0, "", b"", "")
    return Link(SimpleNamespace(), known, 0, Address("20.0.0.1", 1))


class Side:
    """What one node makes of connections that are named by who dialled."""

    def __init__(self, own: bytes, other: bytes) -> None:
        self.links, self.own, self.other = Links(own), own, other
        self.open: dict[str, Link] = {}

    def join(self, name: str, dialled_by: bytes) -> list[str]:
        """The names of the connections that this side ends now."""
        made = link(self.other, outbound=dialled_by == self.own)
        self.open[name] = made
        ending = self.links.join(made).ending
        return [name for name, each in self.open.items() if each is ending]

    def leave(self, name: str) -> None:
        self.links.leave(self.open.pop(name))

    @property
    def current(self) -> str:
        return next(name for name, each in self.open.items() if each is self.links.get(self.other))


@pytest.mark.parametrize("small_first", [("small", "large"), ("large", "small")])
@pytest.mark.parametrize("large_first", [("small", "large"), ("large", "small")])
def test_of_simultaneous_dials_both_sides_keep_the_one_of_the_smaller_key(small_first, large_first):
    at_small, at_large = Side(SMALL, LARGE), Side(LARGE, SMALL)
    dialler = {"small": SMALL, "large": LARGE}
    ended = [name for order in [small_first] for each in order for name in at_small.join(each, dialler[each])]
    ended += [name for order in [large_first] for each in order for name in at_large.join(each, dialler[each])]
    assert set(ended) == {"large"}
    assert at_small.current == at_large.current == "small"


@pytest.mark.parametrize("orders", [("ab", "ab"), ("ab", "ba"), ("ba", "ab"), ("ba", "ba")])
def test_of_two_dials_of_one_side_the_other_decides_so_that_one_is_left(orders):
    dialler, listener = Side(SMALL, LARGE), Side(LARGE, SMALL)
    ended = [name for each in orders[0] for name in dialler.join(each, SMALL)]
    assert ended == []
    for each in orders[1]:
        ended += listener.join(each, SMALL)
    assert ended == [orders[1][0]]
    dialler.leave(ended[0])
    listener.leave(ended[0])
    assert dialler.current == listener.current == orders[1][1]


def test_a_third_dial_ends_the_spare_and_never_leaves_zero():
    side = Side(SMALL, LARGE)
    assert side.join("a", SMALL) == side.join("b", SMALL) == []
    assert side.join("c", SMALL) == ["b"]
    side.leave("b")
    side.leave("a")
    assert side.current == "c"
