"""What the end of an audit means for the node and for those who looked. Start reading at `conclude`.

No outcome touches the model: payloads that were counted stay counted.
"""

from collections.abc import Iterable
from dataclasses import replace

from chain.audit_draw import Scene, wallets_of
from chain.audit_messages import MISMATCH, PASS, UNSERVED
from chain.audit_records import add_misses, forget_misses, held_rounds, is_running, misses_of, owe
from chain.awaited import note_suspended
from chain.findings import caught, on_true_order
from chain.money import Pot, VestingReward, burn, holdings
from chain.payouts import forget_round, release_held
from chain.receipts import (
    FORFEITED,
    SLASHED,
    AuditEnded,
    AuditFault,
    AuditMissed,
    Burned,
    Forfeited,
    FraudRewarded,
    Receipt,
)
from chain.slashing import reward_and_burn, settle_cut, shares_of
from chain.stakes import ValidatorKey, validator_key
from chain.state import (
    ACQUITTED,
    PASSED,
    PROVEN,
    WITHHELD,
    Assigned,
    Audit,
    AuditName,
    Claim,
    NodeRecord,
    Round,
    State,
    claim_key,
    node_key,
    round_key,
)


def conclude(scene: Scene, name: AuditName, audit: Audit) -> list[Receipt]:
    """Carry out how an audit has ended. Its record says so already; the queue names it until `dequeue`."""
    state = scene.state
    record = state.need(NodeRecord, node_key(name.node))
    receipts: list[Receipt] = [AuditEnded(name.round, name.node, audit.phase, audit.attempt)]
    if audit.phase == PASSED:
        state.put(node_key(name.node), replace(record, audited_rounds=record.audited_rounds + 1))
    elif audit.phase in (PROVEN, WITHHELD, ACQUITTED):
        state.put(node_key(name.node), replace(record, audited_rounds=0))
    if audit.phase in (PROVEN, WITHHELD):
        receipts += _convict(scene, name, audit)
    guilty = at_fault(scene, name, audit)
    for assigned in guilty:
        receipts += _punish(scene, name, audit, assigned)
    _credit(scene, audit, guilty)
    return receipts + _let_go(scene, name)


def _let_go(scene: Scene, name: AuditName) -> list[Receipt]:
    """What the audit kept from being released or forgotten."""
    if name.round <= scene.state.ledger.released_round:
        forget_round(scene.state, name.round)
    if any(other.node == name.node and is_running(scene.state, other) for other in scene.state.open_audits):
        return []
    return release_held(scene.state, name.node, scene.params)


def at_fault(scene: Scene, name: AuditName, audit: Audit) -> tuple[Assigned, ...]:
    """Who reproduced what cannot be reproduced, and who was wrong in a dispute that the validators have settled.

    A node may have promised a plant and read the public data all the same, to have an honest auditor fined. So a pass
    on a plant is a fault only if somebody who knew the secret has found that the node kept its promise.
    """
    mix = scene.state.need(Round, round_key(name.round)).mix
    wrong = {PASSED: MISMATCH, PROVEN: PASS}.get(audit.phase)
    lost = () if wrong is None else on_true_order(audit, wrong, mix, scene.params)
    unseen = caught(audit, mix, scene.params) if audit.phase == PASSED else ()
    return *unseen, *lost


def _credit(scene: Scene, audit: Audit, guilty: tuple[Assigned, ...]) -> None:
    """Whoever gave a verdict is paid for the replay and has missed nothing of late.

    That nothing was served counts only if it turned out so: else it would be a living without work.
    """
    for assigned in audit.auditors:
        is_work = assigned.finding in (PASS, MISMATCH) or (assigned.finding == UNSERVED and audit.phase == WITHHELD)
        if not is_work or assigned in guilty:
            continue
        key = _key_of(scene, audit, assigned)
        wallets = wallets_of(scene.state, key, scene.network)
        if wallets:
            owe(scene.state, wallets[0], scene.params.segment_steps)
        if misses_of(scene.state, key) < scene.params.audit_misses:  # from there on it is for jail to settle
            forget_misses(scene.state, key)


def note_missed(scene: Scene, name: AuditName, audit: Audit, silent: Iterable[Assigned]) -> list[Receipt]:
    """Auditors that let a deadline pass."""
    receipts: list[Receipt] = []
    for assigned in silent:
        key = _key_of(scene, audit, assigned)
        receipts.append(AuditMissed(name.round, name.node, key, _add_misses(scene, key, 1)))
    return receipts


def _add_misses(scene: Scene, key: bytes, number: int) -> int:
    """Count them; returns how many there are now. Who is banned or has left is never jailed: nothing is kept of it."""
    known = scene.state.find(ValidatorKey, validator_key(key))
    if (known is not None and known.tombstoned) or not wallets_of(scene.state, key, scene.network):
        return number
    return add_misses(scene.state, key, number)


def _key_of(scene: Scene, audit: Audit, assigned: Assigned) -> bytes:
    return scene.state.validators(audit.set_epoch).members[assigned.validator].public_key


def _punish(scene: Scene, name: AuditName, audit: Audit, assigned: Assigned) -> list[Receipt]:
    """An auditor at fault loses a share of its stake, phantom power having none, and goes to jail."""
    state, params = scene.state, scene.params
    key = _key_of(scene, audit, assigned)
    _add_misses(scene, key, params.audit_misses)
    known = state.find(ValidatorKey, validator_key(key))
    if known is None:
        return [AuditFault(name.round, name.node, key, 0)]
    parts = shares_of(state, known.wallet, params.audit_fault_basis_points, audit.set_epoch, params)
    for pot, amount in parts:
        burn(state, pot, amount)
    settle_cut(state, known.wallet)
    lost = sum(amount for _, amount in parts)
    return [AuditFault(name.round, name.node, key, lost), Burned(SLASHED, known.wallet, lost)]


def _convict(scene: Scene, name: AuditName, audit: Audit) -> list[Receipt]:
    """All that is not released is lost. Proven fraud costs a share of the stake too, and the seat for a time.

    Who does not show or serve a segment can have forged it, so that must not be the cheaper way out.
    """
    state, params, is_proven = scene.state, scene.params, audit.phase == PROVEN
    wallet = state.need(NodeRecord, node_key(name.node)).wallet
    receipts, parts = _forfeit(state, name.node)
    vesting = sum(amount for _, amount in parts)
    if is_proven:
        offence = state.need(Round, round_key(name.round)).set_epoch
        parts += shares_of(state, wallet, params.fraud_basis_points, offence, params)
    total = sum(amount for _, amount in parts)
    rewards = reward_and_burn(state, parts, _finders(scene, name, audit) if is_proven else [], params)
    if is_proven:
        settle_cut(state, wallet)
        note_suspended(state, name.node, params)
    rewarded = sum(amount for _, amount in rewards)
    from_vesting = min(vesting, rewarded)
    for reason, amount in ((FORFEITED, vesting - from_vesting), (SLASHED, total - vesting - (rewarded - from_vesting))):
        receipts += [Burned(reason, wallet, amount)] if amount else []
    return receipts + [FraudRewarded(name.round, name.node, *reward) for reward in rewards]


def _forfeit(state: State, node: bytes) -> tuple[list[Receipt], list[tuple[Pot, int]]]:
    """Mark all claims of a node that are not released: they pay nothing. Returns what of them is vesting."""
    receipts, parts = list[Receipt](), list[tuple[Pot, int]]()
    for number in (*held_rounds(state, node), *range(state.ledger.released_round + 1, state.ledger.round + 1)):
        claim = state.find(Claim, claim_key(number, node))
        if claim is None or claim.forfeited:
            continue
        state.put(claim_key(number, node), replace(claim, forfeited=True))
        pot = VestingReward(number, node, claim.wallet)
        parts.append((pot, holdings(state, pot)))
        receipts.append(Forfeited(number, node, claim.wallet, holdings(state, pot)))
    return receipts, parts


def _finders(scene: Scene, name: AuditName, audit: Audit) -> list[bytes]:
    """The wallets of the auditors that found the forgery, each once, in the order of their draw."""
    mix = scene.state.need(Round, round_key(name.round)).mix
    wallets: list[bytes] = []
    for assigned in on_true_order(audit, MISMATCH, mix, scene.params):
        for wallet in wallets_of(scene.state, _key_of(scene, audit, assigned), scene.network)[:1]:
            wallets += [wallet] if wallet not in wallets else []
    return wallets
