"""Equivocation: what proves it, and what it costs. Start reading at `punish`.

At once: a fixed share of the stake, a ban of the key for ever, and the rest of the stake is sent out of the set. An
unbonding time later: `correlation_factor` times the share of the power whose offences were reported within that time
before or after, so that an accident costs little and an attack everything, in whatever order its members are reported.
The reports count and not the votes: an offender could still make votes of an earlier epoch, far from its accomplices'.
Stake that left the set after the offence is as guilty as stake that stayed.
"""

from dataclasses import replace

from chain.audit_records import forget_misses
from chain.block import VALIDATORS_MAXIMUM, Validator
from chain.crypto import bls
from chain.crypto.votes import Evidence, Vote, evidence_of, is_well_formed, vote_message, votes_conflict
from chain.errors import BadSignature, InvalidTransaction
from chain.genesis import Network, Params
from chain.money import Balance, BondedStake, Pot, UnbondingStake, burn, holdings, move
from chain.receipts import SLASHED, Burned, Receipt, Tombstoned
from chain.stakes import STAKING_KEY, Stake, Tomb, ValidatorKey, put_stake, stake_key, stake_of, staking, validator_key
from chain.state import State, ValidatorSet, set_key

REPORTER_SHARE = 32  # of what the stake loses at once, the reporter gets at most one part in so many


def punish(state: State, evidence: Evidence, reporter: bytes, epoch: int, network: Network) -> list[Receipt]:
    """Check evidence and carry out the penalty. Raises InvalidTransaction or BadSignature."""
    members = _judged_set(state, evidence, epoch, network.params)
    offender = _accused(evidence, members)
    public_key = offender.public_key
    known = state.find(ValidatorKey, validator_key(public_key))
    if known is not None and known.tombstoned:
        raise InvalidTransaction(f"validator {public_key.hex()[:16]} is banned already")
    founders = {validator.public_key: validator.payout for validator in network.validators}
    if known is None and public_key not in founders:
        raise InvalidTransaction(f"validator {public_key.hex()[:16]} has left with all its stake")
    wallet = known.wallet if known else founders[public_key]
    if reporter == wallet:
        raise InvalidTransaction("nobody reports himself")
    # Last of the checks, because they cost more than all others.
    if not all(_signed(public_key, vote, network.chain_id) for vote in (evidence.first, evidence.second)):
        raise BadSignature(f"validator {public_key.hex()[:16]} did not sign both votes")
    state.put(validator_key(public_key), ValidatorKey(wallet, True))
    forget_misses(state, public_key)
    guilty = _call_back(state, wallet, evidence.first.epoch, network.params) if known else 0
    _remember(state, Tomb(wallet, evidence.first.epoch, epoch, offender.power, members.power, guilty, False))
    if not known:
        return [Tombstoned(public_key, 0, reporter, 0)]
    amount = -(-guilty * network.params.equivocation_basis_points // 10_000)
    reward = min(amount // REPORTER_SHARE, network.params.reporter_maximum_nanos)
    move(state, BondedStake(wallet), Balance(reporter), reward)
    burn(state, BondedStake(wallet), amount - reward)
    stake = stake_of(state, wallet)
    put_stake(state, wallet, replace(_backed(stake), tombstoned=True, leaving=stake.bonded))
    return [Burned(SLASHED, wallet, amount - reward), Tombstoned(public_key, amount, reporter, reward)]


def _backed(stake: Stake) -> Stake:
    """No power without stake behind it, also between the penalty and the end of the epoch."""
    return replace(stake, power=min(stake.power, stake.bonded))


def _remember(state: State, tomb: Tomb) -> None:
    known = staking(state)
    if len(known.tombs) >= VALIDATORS_MAXIMUM:
        raise InvalidTransaction(f"{VALIDATORS_MAXIMUM} offences are remembered already: wait until one is settled")
    state.put(STAKING_KEY, replace(known, tombs=(*known.tombs, tomb)))


def _judged_set(state: State, evidence: Evidence, epoch: int, params: Params) -> ValidatorSet:
    """The set of the votes' epoch, if that is recent enough."""
    at = evidence.first.epoch
    if not epoch - params.unbonding_epochs <= at <= epoch:
        raise InvalidTransaction(
            f"votes of epoch {at} are no evidence in epoch {epoch}: only {params.unbonding_epochs} epochs back count"
        )
    return state.need(ValidatorSet, set_key(at))


def _accused(evidence: Evidence, members: ValidatorSet) -> Validator:
    """The member that both votes name, if no honest one can have cast both."""
    votes = evidence.first, evidence.second
    if not all(is_well_formed(vote.kind, vote.block_hash) for vote in votes) or not votes_conflict(*votes):
        raise InvalidTransaction("an honest validator can have cast both votes")
    if evidence_of(*votes) != evidence:
        raise InvalidTransaction("the vote with the smaller encoding comes first")
    if evidence.first.signer >= len(members.members):
        raise InvalidTransaction(f"signer {evidence.first.signer} of a set of {len(members.members)}")
    return members.members[evidence.first.signer]


def _signed(public_key: bytes, vote: Vote, chain_id: bytes) -> bool:
    message = vote_message(chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash)
    return bls.verify(public_key, message, vote.signature)


def _call_back(state: State, wallet: bytes, offence_epoch: int, params: Params) -> int:
    """Bond again what was in the set at the offence and left it since; returns all that answers for the offence.

    None of it can be withdrawn yet: evidence is too old one epoch before stake that was in the set then is ready.
    """
    stake = stake_of(state, wallet)
    guilty = [ready for ready in stake.exits if ready - params.unbonding_epochs > offence_epoch]
    for ready in guilty:
        pot = UnbondingStake(wallet, ready)
        move(state, pot, BondedStake(wallet), holdings(state, pot))
    kept = tuple(ready for ready in stake.exits if ready not in guilty)
    stake = replace(stake_of(state, wallet), exits=kept)
    put_stake(state, wallet, stake)
    return stake.bonded


def _answering(state: State, wallet: bytes, since_epoch: int, params: Params) -> list[Pot]:
    """The stake of a wallet, and what left the set after an epoch and cannot be withdrawn yet."""
    exits = [ready for ready in stake_of(state, wallet).exits if ready - params.unbonding_epochs > since_epoch]
    return [BondedStake(wallet), *(UnbondingStake(wallet, ready) for ready in exits)]


def shares_of(
    state: State, wallet: bytes, basis_points: int, since_epoch: int, params: Params
) -> list[tuple[Pot, int]]:
    """The same share of each pot that answers for an offence, rounded down: a member of the set keeps something."""
    pots = _answering(state, wallet, since_epoch, params)
    return [(pot, holdings(state, pot) * basis_points // 10_000) for pot in pots]


def settle_cut(state: State, wallet: bytes) -> None:
    """After a share of a stake was taken: nothing counts or leaves that is not there any more."""
    stake = stake_of(state, wallet)
    cut = replace(_backed(stake), leaving=min(stake.leaving, stake.bonded))
    if cut != stake:
        state.put(stake_key(wallet), cut)


def reward_and_burn(
    state: State, parts: list[tuple[Pot, int]], finders: list[bytes], params: Params
) -> list[tuple[bytes, int]]:
    """Take what an offence costs: a small part goes to who found it, in equal shares, the rest is burned."""
    total = sum(amount for _, amount in parts)
    reward = min(total // REPORTER_SHARE, params.reporter_maximum_nanos) // max(1, len(finders))
    owed = dict.fromkeys(finders, reward)
    for pot, amount in parts:
        left = amount
        for finder in finders:
            paid = min(left, owed[finder])
            move(state, pot, Balance(finder), paid)
            owed[finder] -= paid
            left -= paid
        burn(state, pot, left)
    return [(finder, reward) for finder in finders if reward]


def settle_tombs(state: State, epoch: int, params: Params) -> list[Receipt]:
    """At an epoch's end: take the correlation penalty of offenders whose unbonding time is over."""
    tombs, span = staking(state).tombs, params.unbonding_epochs
    receipts: list[Receipt] = []
    kept: list[Tomb] = []
    for tomb in tombs:
        is_due = tomb.reported + span <= epoch
        if is_due and not tomb.settled:
            receipts += _correlate(state, tomb, tombs, params)
        if epoch < tomb.reported + 2 * span:  # when the last of those that it counts for are settled
            kept.append(replace(tomb, settled=is_due))
    if tuple(kept) != tombs:
        state.put(STAKING_KEY, replace(staking(state), tombs=tuple(kept)))
    return receipts


def _correlate(state: State, tomb: Tomb, tombs: tuple[Tomb, ...], params: Params) -> list[Receipt]:
    """Burn `correlation_factor` times the share of the power that was reported within the span, at most everything."""
    if not tomb.stake:
        return []
    span, wallet = params.unbonding_epochs, tomb.wallet
    together = [each for each in tombs if abs(each.reported - tomb.reported) <= span]
    offended = sum(each.power * tomb.total // each.total for each in together)
    penalty = -(-tomb.stake * min(tomb.total, params.correlation_factor * offended) // tomb.total)
    burned = 0
    for pot in _answering(state, wallet, tomb.reported, params):
        amount = min(penalty - burned, holdings(state, pot))
        burn(state, pot, amount)
        burned += amount
    stake = stake_of(state, wallet)
    put_stake(state, wallet, replace(_backed(stake), leaving=min(stake.leaving, stake.bonded)))
    return [Burned(SLASHED, wallet, burned)] if burned else []
