"""The ledger at one height, read once when the block became final: readers never meet a half-written block."""

from dataclasses import dataclass

from chain.audit_records import held_rounds
from chain.genesis import Params
from chain.money import UnbondingStake, holdings
from chain.payouts import claims_of
from chain.stakes import NO_KEY, Stake, Staking, ValidatorKey, stake_of, staking, validator_key
from chain.state import ROUND_PHASES, Ledger, NodeRecord, State, Supply, ValidatorSet, Vesting, node_key, vesting_key
from chain.transfers import spendable
from chain.transition import Parent, epoch_of
from node.identity import Identity
from node.round_now import RoundNow, read_round

# What a wallet is to the set of validators: nothing; its rewards are being bonded; its key waits for a place.
NONE, DECLARED, QUEUED, ACTIVE, JAILED, BANNED = "none", "declared", "queued", "active", "jailed", "banned"
STANDINGS = (NONE, DECLARED, QUEUED, ACTIVE, JAILED, BANNED)


@dataclass(frozen=True, slots=True)
class Facts:
    """The finalized ledger as one node sees it. Powers are those of the epoch that the next block belongs to."""

    tip: Parent
    ledger: Ledger
    supply: Supply
    staking: Staking
    round_phase: str
    round: RoundNow | None  # the newest
    epoch: int
    validators: int
    total_power: int
    balance_nanos: int
    vesting_nanos: int
    bonded_nanos: int
    unbonding_nanos: int
    power: int  # of this node's key
    standing: str

    @classmethod
    def read(cls, state: State, tip: Parent, identity: Identity, params: Params) -> "Facts":
        ledger, address, key = state.ledger, identity.address, identity.validator_public_key
        now = read_round(state, tip.height, identity.node)
        epoch = epoch_of(tip.height + 1, params)
        members, stake = state.validators(epoch), stake_of(state, address)
        power = power_of(members, key)
        return cls(
            tip=tip,
            ledger=ledger,
            supply=state.supply,
            staking=staking(state),
            round_phase=now.phase if now else ROUND_PHASES[0],
            round=now,
            epoch=epoch,
            validators=len(members.members),
            total_power=members.power,
            balance_nanos=spendable(state, address),
            vesting_nanos=vesting_of(state, address, identity.node),
            bonded_nanos=stake.bonded,
            unbonding_nanos=sum(amount for amount, _ in unbonding_of(state, address, stake)),
            power=power,
            standing=_standing(state, stake, identity, power),
        )


def power_of(members: ValidatorSet, public_key: bytes) -> int:
    """The voting power of a key, 0 if it is not in the set."""
    return sum(member.power for member in members.members if member.public_key == public_key)


def _standing(state: State, stake: Stake, identity: Identity, power: int) -> str:
    """Of this node's wallet and key. Who is in jail may still have phantom power."""
    key = state.find(ValidatorKey, validator_key(identity.validator_public_key))
    if stake.tombstoned or (key is not None and key.tombstoned):
        return BANNED
    if stake.jailed_until:
        return JAILED
    if power:
        return ACTIVE
    if stake.public_key != NO_KEY:
        return QUEUED
    record = state.find(NodeRecord, node_key(identity.node))
    return DECLARED if record is not None and record.validator_intent and not record.retired_height else NONE


def unbonding_of(state: State, address: bytes, stake: Stake) -> list[tuple[int, int]]:
    """(nanos, epoch from which they can be withdrawn) of each part of a wallet's stake that left the set."""
    return [(holdings(state, UnbondingStake(address, ready)), ready) for ready in stake.exits]


def vesting_of(state: State, address: bytes, node: bytes = b"") -> int:
    """Nanos of a wallet that are minted and not released yet; of one of its nodes also those that an audit holds."""
    ledger = state.ledger
    waiting = range(ledger.released_round + 1, ledger.settled_round + 1)
    names = [
        (number, name) for number in waiting for name, claim in claims_of(state, number) if claim.wallet == address
    ]
    names += [(number, node) for number in held_rounds(state, node)]
    records = (state.find(Vesting, vesting_key(*name)) for name in names)
    return sum(record.amount for record in records if record is not None)
