"""One audit as the ledger's own rules move it, explained at every station."""

from dataclasses import replace

from chain.audit_messages import (
    PASS,
    UNSERVED,
    SegmentOpening,
    StateParts,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import RoundInput
from chain.crypto import bls
from chain.crypto.hashing import ZERO
from chain.receipts import AuditFault, AuditMissed
from chain.state import AUDITING, OPENING, PASSED, SHOWING, WITHHELD, Audit
from node.api.events import audit_change
from node.audit_facts import facts_of
from node.explain_audit import CHECKED, ONLY_CLAIMED, Explanation, explain
from tests.builders import (
    AUDITED,
    NODE,
    Chain,
    a_full_round,
    a_network,
    a_training_chain,
    named,
    secret_of,
    state_parts,
)

NO_BLS, NO_ECDSA = bytes(96), bytes(64)
WHO = (1, NODE.node)


def audited_chain() -> Chain:
    """Round 1 has closed, its node is being audited by one of four founders, and round 2 is in training."""
    chain = a_training_chain(NODE, network=a_network(4, **AUDITED, vest_rounds=4, audit_second_basis_points=0))
    a_full_round(chain, NODE)
    return chain


def audit_of(chain: Chain) -> Audit:
    found = chain.state.audit(*WHO)
    assert found is not None
    return found


def explained(chain: Chain) -> Explanation:
    current = chain.state.round(1)
    assert current is not None
    return explain(facts_of(chain.state, chain.network, current, NODE.node, (chain.height, chain.height)))


def says(told: Explanation, kind: str, *words: str) -> bool:
    return any(each.kind == kind and all(word in each.text for word in words) for each in told.statements)


def say(chain: Chain, item: RoundInput) -> None:
    chain.block(rounds=[item])


def opening(chain: Chain) -> SegmentOpening:
    segment, current = audit_of(chain).segment, chain.state.round(1)
    assert current is not None
    fresh = (current.base.weights_root, ZERO, ZERO)
    before = StateParts(*(state_parts(NODE, 1, segment - 1) if segment else fresh))
    draft = SegmentOpening(*WHO, before, StateParts(*state_parts(NODE, 1, segment)), NO_ECDSA)
    return replace(draft, signature=NODE.sign(draft.digest(chain.network.chain_id)))


def signed(chain: Chain, draft: VerdictCommit | VerdictReveal) -> VerdictCommit | VerdictReveal:
    members = chain.state.validators(audit_of(chain).set_epoch).members
    secret = secret_of(members[draft.validator].public_key)
    return replace(draft, signature=bls.sign(secret, draft.digest(chain.network.chain_id)))


def verdict(chain: Chain, finding: int) -> VerdictReveal:
    auditor = audit_of(chain).auditors[-1].validator
    steps = 0 if finding == UNSERVED else chain.network.params.segment_steps
    inner = tuple(named(f"inner {step}") for step in range(steps))
    found = signed(chain, VerdictReveal(*WHO, auditor, named("salt"), finding, inner, NO_BLS))
    assert isinstance(found, VerdictReveal)
    return found


def test_an_audit_is_explained_from_its_draw_to_the_pass() -> None:
    chain = audited_chain()
    assert audit_of(chain).phase == OPENING
    told = explained(chain)
    assert told.headline.startswith("Being audited: the node is asked to show")
    assert says(told, ONLY_CLAIMED, f"until block {audit_of(chain).deadline_height}")
    assert says(told, ONLY_CLAIMED, "validator", "nothing yet")
    say(chain, opening(chain))
    chain.block()
    assert audit_of(chain).phase == AUDITING and "trains segment" in explained(chain).headline
    found = verdict(chain, PASS)
    say(chain, signed(chain, VerdictCommit(*WHO, found.validator, found.commitment(chain.network.chain_id), NO_BLS)))
    chain.block()
    assert audit_of(chain).phase == SHOWING
    assert says(explained(chain), ONLY_CLAIMED, "bound itself to a finding and not shown it yet")
    say(chain, found)
    for _ in range(chain.network.params.showing_blocks):
        chain.block()
    # In its first round the node had promised no secret: nothing could be planted, and nothing is waited for.
    assert audit_of(chain).phase == PASSED
    told = explained(chain)
    assert told.headline.startswith("Audited and passed")
    assert says(told, CHECKED, f"validator {found.validator}", "came to the claimed state")
    assert says(told, CHECKED, "passed 1 audit since")


def test_the_draw_and_the_end_of_an_audit_are_events_that_name_round_node_and_outcome() -> None:
    chain = audited_chain()
    [assigned] = audit_of(chain).auditors
    while audit_of(chain).phase == OPENING:
        chain.block()
    changes = [audit_change(receipt) for applied in chain.blocks for receipt in applied.receipts]
    told = [change for change in changes if change is not None]
    about = {"round": 1, "node": NODE.node.hex()}
    drawn = {"kind": "drawn", **about, "segment": audit_of(chain).segment, "attempt": 1}
    assert told[0] == drawn | {"auditors": [assigned.validator]}
    assert told[-1] == {"kind": "ended", **about, "outcome": "withheld", "attempts": 1}


def test_silence_and_faults_of_auditors_are_events_that_name_their_key() -> None:
    who, key = (3, NODE.node), bytes(47) + b"k"
    missed, fault = audit_change(AuditMissed(*who, key, 2)), audit_change(AuditFault(*who, key, 10**9))
    about = {"round": 3, "node": NODE.node.hex(), "validator_key": key.hex()}
    assert missed == {"kind": "missed", **about, "misses": 2}
    assert fault == {"kind": "fault", **about, "lost_nanos": "1000000000"}


def test_a_node_that_shows_nothing_is_told_what_that_cost_it() -> None:
    chain = audited_chain()
    while audit_of(chain).phase == OPENING:
        chain.block()
    assert audit_of(chain).phase == WITHHELD
    told = explained(chain)
    assert told.headline.startswith("Withheld")
    assert says(told, CHECKED, "all rewards of the node that were still vesting are burned")
    assert says(told, CHECKED, "Reward: forfeited")
    assert says(told, CHECKED, "audited in 100 % of its rounds", "passed 0 audits")
