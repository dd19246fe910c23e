"""Who lacks whom: what a node concludes from the statuses of its peers, and how soon it changes its mind."""

from chain.crypto import bls
from consensus.committee import Committee, Member
from network.kinds import STATUS
from network.peer import VALIDATOR, Peer
from node.standing import Standing, Status, make_voucher
from tests.node.sim_runtime import SimNode, World

CHAIN = bytes(32)
SECRETS = sorted(range(1, 5), key=bls.public_key)  # of members 0 … 3
COMMITTEE = Committee(tuple(Member(bls.public_key(secret), 1) for secret in SECRETS))


def peer_key(place: int) -> bytes:
    return bytes([2, place]).ljust(33, b"\0")


def met(*places: int) -> Standing:
    """Member 0, connected with these members, in epoch 0."""
    runtime = SimNode(World(), "us")
    standing = Standing(runtime, CHAIN, lambda: (0, bytes(32), 0, 1))
    standing.enter(0, COMMITTEE, 0)
    for place in places:
        voucher = make_voucher(CHAIN, peer_key(place), SECRETS[place].to_bytes(32, "big"))
        peer = Peer(peer_key(place), "", True, VALIDATOR, "", voucher, "")
        runtime.linked[peer.key] = runtime, peer
        standing.joined(peer)
    return standing


def says(standing: Standing, place: int, reach: int, epoch: int = 0) -> None:
    standing.handlers()[STATUS](peer_key(place), Status(0, bytes(32), epoch, 1, bytes([reach])).encode())


def test_a_peer_lacks_whom_its_newest_status_leaves_out() -> None:
    standing = met(1, 2)
    assert standing.lacking(3, b"") == [], "nothing is known yet: nobody is told twice"
    says(standing, 1, 0b0111)
    assert standing.lacking(3, b"") == [peer_key(1)]
    assert standing.lacking(3, peer_key(1)) == [], "who brought a vote has it"
    assert standing.lacking(1, b"") == [], "its own votes it has"
    says(standing, 1, 0b1111)
    assert standing.lacking(3, b"") == []


def test_who_leaves_lacks_nobody() -> None:
    standing = met(1, 2)
    says(standing, 1, 0b0111)
    says(standing, 2, 0b0111)
    assert standing.lacking(3, b"") == [peer_key(1), peer_key(2)] and standing.members() == [peer_key(1), peer_key(2)]
    standing.left(peer_key(1))
    assert standing.lacking(3, b"") == [peer_key(2)] and standing.members() == [peer_key(2)]


def test_a_status_of_another_epoch_counts_once_that_epoch_has_begun_and_it_is_said_again() -> None:
    standing = met(1)
    says(standing, 1, 0b0111, epoch=1)
    assert standing.lacking(3, b"") == []
    standing.enter(1, COMMITTEE, 0)
    says(standing, 1, 0b0111, epoch=1)
    assert standing.lacking(3, b"") == [peer_key(1)]
