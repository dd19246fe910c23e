"""Claims between nodes: each checked, passed on once, kept until the ledger has it; nobody has more than his places."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from chain.block import Proof
from chain.crypto.hashing import ZERO
from chain.state import HOLDING, RESULT, REVEALING, State
from network.kinds import CLAIM, KINDS
from node import claim_pool, claims
from node.claim_pool import ClaimPool, is_early, is_past, slot_of
from node.claims import AHEAD_MS, EARLY_MAXIMUM, EARLY_OF_PEER, REPEAT_MS, Claims
from node.relay_messages import Claimed, ClaimMessage
from node.runtime import MALFORMED
from tests.builders import (
    NODE,
    OTHER_NODE,
    Chain,
    a_commit,
    a_key,
    a_network,
    a_proof,
    a_result_vote,
    a_reveal,
    a_training_chain,
    an_availability_vote,
    commit,
    everybody_agrees,
    reveal,
    train,
)
from tests.node.little_network import START_MS, LittleNetwork, LittleRuntime

STRANGER = a_key("stranger")
SEGMENTS = 4


@dataclass
class Place:
    """One node's part, on a ledger that is the test's."""

    runtime: LittleRuntime
    chain: Chain
    mine: list[Claimed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = ClaimPool(self.chain.network.params)
        self.told = 0
        self.part = Claims(self.runtime, self.chain.network, self.pool, self._state, self._own, self._news)
        self.runtime.runs(self.part)

    def _state(self) -> State:
        return self.chain.state

    def _own(self, state: State, time_ms: int) -> list[Claimed]:
        return [claim for claim in self.mine if not is_past(claim, state)]

    def _news(self) -> None:
        self.told += 1

    @property
    def held(self) -> list[Claimed]:
        return [held.claim for held in self.pool.all()]

    def points(self, other: "Place") -> int:
        return self.runtime.points(other.runtime)

    def hears(self, speaker: "Place", *said: Claimed) -> None:
        for claim in said:
            speaker.runtime.say(self.runtime, CLAIM, ClaimMessage(claim).encode())
        self.runtime.network.run(50)


class Places:
    def __init__(self, number: int, chain: Chain | None = None) -> None:
        self.network = LittleNetwork()
        self.chain = chain or a_training_chain(NODE, OTHER_NODE)
        self.all = [Place(self.network.node(f"node {index}"), self.chain) for index in range(number)]
        self.network.connect(*(place.runtime for place in self.all))

    def follow(self) -> None:
        for place in self.all:
            place.part.follow()


def chained(chain: Chain, number: int, **changes: int) -> list[Proof]:
    """The next proofs of NODE, each the successor of the one before."""
    proofs = [a_proof(chain, **changes)]
    for segment in range(proofs[0].segment + 1, proofs[0].segment + number):
        last = proofs[-1]
        follows = {"previous_proof": last.id(chain.network.chain_id), "state_before": last.state_after}
        sequences = chain.network.params.segment_steps * chain.network.params.sequences
        place = {"segment": segment, "nonce": last.nonce + 1, "data_first": segment * sequences}
        proofs.append(a_proof(chain, state_after=segment.to_bytes(32, "big"), **follows, **place, **changes))
    return proofs


# ---- Spreading


def test_a_claim_reaches_everybody_and_each_node_passes_it_on_once() -> None:
    places = Places(4)
    speaker = places.all[0]
    speaker.mine = chained(places.chain, 2)
    speaker.part.speak()
    places.network.run(200)
    assert all(place.held == speaker.mine for place in places.all)
    assert [len(places.network.sent(CLAIM, place.runtime)) for place in places.all] == [6, 4, 4, 4]
    assert all(place.told for place in places.all)


def test_a_newcomer_is_told_what_waits() -> None:
    places = Places(2)
    places.network.disconnect(*(place.runtime for place in places.all))
    speaker, newcomer = places.all
    speaker.mine = [a_proof(places.chain)]
    speaker.part.speak()
    places.network.connect(speaker.runtime, newcomer.runtime)
    places.network.run(50)
    assert newcomer.held == speaker.mine


def test_our_own_are_said_again_until_the_ledger_has_them() -> None:
    places = Places(2)
    speaker, hearer = places.all
    places.network.drop = lambda message: True
    speaker.mine = [a_proof(places.chain)]
    speaker.part.speak()
    speaker.part.speak()
    places.network.run(REPEAT_MS - 1)
    assert len(places.network.sent(CLAIM)) == 1
    places.network.drop = lambda message: False
    places.network.run(50)
    assert hearer.held == speaker.mine and len(places.network.sent(CLAIM)) == 2
    places.chain.block(proofs=speaker.mine)
    places.follow()
    places.network.run(3 * REPEAT_MS)
    assert (speaker.held, hearer.held) == ([], []) and len(places.network.sent(CLAIM)) == 2


# ---- What is believed


@pytest.mark.parametrize("make", [a_proof, a_commit])
def test_a_claim_that_its_node_did_not_sign_is_malformed(make: object) -> None:
    places = Places(3)
    liar, node, other = places.all
    node.hears(liar, make(places.chain, signer=OTHER_NODE))  # type: ignore[operator]
    assert node.points(liar) == MALFORMED and node.held == other.held == []


def test_a_vote_that_its_validator_did_not_sign_is_malformed() -> None:
    places = Places(2, held(validators=2))
    liar, node = places.all
    node.hears(liar, an_availability_vote(places.chain, 0, signer=1))
    assert node.points(liar) == MALFORMED and node.held == []


def test_a_stranger_is_not_believed_nor_anybody_blamed_for_him() -> None:
    places = Places(3)
    speaker, node, other = places.all
    node.hears(speaker, a_proof(places.chain, STRANGER), a_commit(places.chain, STRANGER))
    assert node.held == other.held == [] and node.runtime.blamed == []


def test_one_claim_of_a_kind_round_and_segment_is_kept_of_a_node() -> None:
    places = Places(2)
    speaker, node = places.all
    first = a_proof(places.chain)
    node.hears(speaker, first, replace_signed(places.chain, first, loss_milli=1))
    assert node.held == [first] and node.runtime.blamed == []


def test_a_proof_that_grows_too_old_gives_way_to_a_later_one() -> None:
    places = Places(2)
    speaker, node = places.all
    half = places.chain.network.params.proof_window_ms // 2
    old = a_proof(places.chain)
    early, late = (replace_signed(places.chain, old, time_ms=old.time_ms + after) for after in (half - 1, half))
    node.hears(speaker, old, early)
    assert node.held == [old]
    node.hears(speaker, late)
    assert node.held == [late]


def replace_signed(chain: Chain, proof: Proof, **changes: int) -> Proof:
    draft = replace(proof, **changes)
    return replace(draft, signature=NODE.sign(draft.id(chain.network.chain_id)))


def test_a_node_has_no_more_places_than_a_round_has_segments() -> None:
    places = Places(2)
    speaker, node = places.all
    proofs = chained(places.chain, SEGMENTS + 2)
    node.hears(speaker, *proofs)
    assert node.held == proofs[:SEGMENTS]


def test_the_pool_is_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = a_training_chain(NODE)
    proofs = chained(chain, 3)
    size = len(ClaimMessage(proofs[0]).encode())
    for name, bound in (("CLAIMS_MAXIMUM", 2), ("BYTES_MAXIMUM", 2 * size)):
        with monkeypatch.context() as patch:
            patch.setattr(claim_pool, name, bound)
            pool = ClaimPool(chain.network.params)
            assert [pool.put(proof) is not None for proof in proofs] == [True, True, False]
            assert pool.put(proofs[2], is_own=True) is not None


def test_the_largest_claim_fits_its_kind() -> None:
    largest = replace(a_reveal(a_training_chain(NODE)), distances=(1,) * 1024)
    assert len(ClaimMessage(largest).encode()) <= KINDS[CLAIM].bytes_maximum


# ---- What comes too early, and what too late


def test_later_segments_wait_for_earlier_ones_in_any_order_of_arrival() -> None:
    places = Places(2)
    speaker, node = places.all
    proofs = chained(places.chain, 3)
    node.hears(speaker, *reversed(proofs))
    assert node.pool.proofs(places.chain.state) == proofs
    places.chain.block(proofs=node.pool.proofs(places.chain.state))
    places.follow()
    assert node.held == []


def test_a_claim_of_the_next_round_is_kept_and_a_vote_waits_until_its_set_is_known() -> None:
    chain = a_training_chain(NODE, network=a_network(validators=1))
    places = Places(3, chain)
    speaker, node, other = places.all
    following = a_proof(chain, round=chain.round.number + 1)
    vote = an_availability_vote(chain)
    node.hears(speaker, following, vote)
    assert node.held == other.held == [following]
    train(chain)
    commit(chain)
    assert chain.round.phase == REVEALING
    places.follow()
    places.network.run(50)
    assert vote in node.held and vote in other.held and is_early(vote, chain.state)


def test_of_a_flood_of_forged_votes_only_the_first_costs_a_pairing_once_its_sender_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And none of them stands in the lane in which this node's own votes are written."""
    chain = a_training_chain(NODE, network=a_network(validators=1))
    train(chain)
    commit(chain)
    places = Places(2, chain)
    liar, node = places.all
    checked: list[Claimed] = []
    lanes: set[str] = set()
    offload = node.runtime.offload
    is_signed = claims.is_signed

    def counted(claim: Claimed, public_key: bytes, chain_id: bytes) -> bool:
        checked.append(claim)
        return is_signed(claim, public_key, chain_id)

    def noted(lane: str, work: Callable[[], bool], done: Callable[[bool], None]) -> None:
        lanes.add(lane)
        offload(lane, work, done)

    def banned(key: bytes, points: int, reason: str) -> None:
        assert points == MALFORMED
        places.network.disconnect(liar.runtime, node.runtime)

    monkeypatch.setattr(claims, "is_signed", counted)
    node.runtime.offload = noted  # type: ignore[assignment, method-assign]
    node.runtime.blame = banned  # type: ignore[method-assign]
    true = an_availability_vote(chain)
    node.hears(liar, *(replace(true, signature=bytes(94) + number.to_bytes(2, "big")) for number in range(200)))
    assert len(checked) == 1 and lanes == {claims.CHECKS} and node.held == []


def test_what_comes_early_is_bounded_per_peer_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EARLY_OF_PEER < EARLY_MAXIMUM
    monkeypatch.setattr(claims, "EARLY_OF_PEER", 2)
    monkeypatch.setattr(claims, "EARLY_MAXIMUM", 3)
    places = Places(3)
    one, other, node = places.all
    votes = [an_availability_vote(places.chain, signature=bytes(96), validator=index) for index in range(6)]
    node.hears(one, *votes[:3])
    assert [early.claim for early in node.part._early.values()] == votes[1:3]
    node.hears(other, *votes[3:5])
    assert [early.claim for early in node.part._early.values()] == votes[2:5]
    places.network.disconnect(other.runtime, node.runtime)
    assert [early.claim for early in node.part._early.values()] == votes[2:3]


def test_a_claim_of_a_round_farther_ahead_or_from_the_future_is_not_kept() -> None:
    places = Places(2)
    speaker, node = places.all
    number = places.chain.round.number
    node.hears(speaker, a_proof(places.chain, round=number + 2))
    assert node.held == [] and len(node.part._early) == 0
    ahead = a_proof(places.chain, time_ms=START_MS + places.network.time_ms + AHEAD_MS + 1_000)
    node.hears(speaker, ahead)
    assert node.held == []
    places.network.run(1_000)
    places.follow()
    assert node.held == [ahead]


def held(validators: int) -> Chain:
    """A chain whose round is in its holding phase."""
    chain = a_training_chain(NODE, network=a_network(validators=validators))
    train(chain)
    commit(chain)
    reveal(chain)
    assert chain.round.phase == HOLDING
    return chain


def test_what_the_ledger_has_is_past_and_what_it_waits_for_is_not() -> None:
    chain = a_training_chain(NODE, network=a_network(validators=4))
    for station, make in ((train, a_proof), (commit, a_commit), (reveal, a_reveal)):
        claim = make(chain)
        assert not is_past(claim, chain.state)
        if station is train:
            train(chain, segments=1)
            assert is_past(claim, chain.state)
            train(chain, segments=3)
        else:
            station(chain)
            assert is_past(claim, chain.state)
    votes = [an_availability_vote(chain, validator) for validator in range(4)]
    chain.block(rounds=votes[:2])
    assert [is_past(vote, chain.state) for vote in votes] == [True, True, False, False]
    chain.block(rounds=votes[2:3])
    assert chain.round.phase == RESULT and is_past(votes[3], chain.state)
    results = [a_result_vote(chain, validator) for validator in range(4)]
    stray = a_result_vote(chain, 3, replace(results[0].outcome, counted_root=ZERO))
    assert not is_past(results[0], chain.state) and is_past(stray, chain.state)
    everybody_agrees(chain)
    assert all(is_past(vote, chain.state) for vote in results)


def test_a_vote_of_a_place_that_no_set_has_is_past() -> None:
    chain = held(1)
    assert is_past(an_availability_vote(chain, 2**16 - 1, signature=bytes(96)), chain.state)


def test_a_proof_that_no_longer_continues_the_ledgers_is_past() -> None:
    chain = a_training_chain(NODE)
    stray = chained(chain, 2, loss_milli=1)[1]
    train(chain, segments=1)
    assert is_past(stray, chain.state) and not is_past(a_proof(chain), chain.state)


# ---- What a block is made for


def test_a_round_waits_for_words_of_its_phase_and_for_a_nodes_last_proof() -> None:
    chain = a_training_chain(NODE)
    pool = ClaimPool(chain.network.params)
    proofs = chained(chain, SEGMENTS)
    pool.put(proofs[3])
    assert not pool.has_news(chain.state)  # the three before it are not here
    for proof in proofs[:2]:
        pool.put(proof)
    assert pool.has_news(chain.state) and not pool.is_urgent(chain.state)
    pool.put(proofs[2])
    assert pool.is_urgent(chain.state)
    chain.block(proofs=proofs)
    pool.follow(chain.state)
    pool.put(a_commit(chain))
    assert pool.is_urgent(chain.state)


def test_a_commitment_to_less_than_half_the_segments_makes_no_block() -> None:
    chain = a_training_chain(NODE)
    pool = ClaimPool(chain.network.params)
    train(chain, segments=1)
    pool.put(a_commit(chain))
    assert not pool.has_news(chain.state)
    train(chain, segments=1)
    assert pool.is_urgent(chain.state)


def test_what_did_not_fit_into_a_block_makes_no_other_one_urgent() -> None:
    chain = held(1)
    pool = ClaimPool(chain.network.params)
    vote = an_availability_vote(chain)
    pool.put(vote)
    assert pool.is_urgent(chain.state)
    pool.failed([vote])
    assert not pool.is_urgent(chain.state) and pool.inputs(chain.state) == [vote]


def test_rubbish_is_malformed() -> None:
    places = Places(2)
    liar, node = places.all
    liar.runtime.say(node.runtime, CLAIM, b"rubbish")
    places.network.run(50)
    assert node.points(liar) == MALFORMED


def test_places_of_different_claims_differ() -> None:
    chain = held(1)
    said = [
        a_proof(chain), a_proof(chain, segment=1), a_proof(chain, OTHER_NODE), a_proof(chain, round=2), a_commit(chain),
        a_reveal(chain), an_availability_vote(chain), an_availability_vote(chain, 1, signature=bytes(96)),
        a_result_vote(chain),
    ]  # fmt: skip
    assert len({slot_of(claim) for claim in said}) == len(said)
