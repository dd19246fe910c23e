"""A network: parameters, model, hashes and bootstrap validators. The hash of its encoding is the chain id.

All numbers are unsigned integers under dotted names: `chain.*` are the ledger's (class Params); `model.*`, `inner.*`
and `outer.*` belong to training and only pass through here. New rules add names; the layout stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Annotated

from chain.audit_messages import INNER_MAXIMUM
from chain.block import SEATS_MAXIMUM, SEGMENTS_MAXIMUM, Outcome, Validator
from chain.codec import U64, U128, Address, BlsPublicKey, BlsSignature, Hash, Var, Wire
from chain.crypto import bls
from chain.crypto.hashing import ZERO, tagged_hash
from chain.errors import DecodeError, InvalidGenesis
from chain.services import FRAGMENTS_KEY, SHARDS_MAXIMUM, STORAGE_KEY, Fragments, Storage, fragment_leaves
from chain.stakes import PARTICIPATION_KEY, STAKING_KEY, Participation, Staking
from chain.state import AUDITORS_MAXIMUM, LEDGER_KEY, SUPPLY_KEY, Ledger, State, Supply, ValidatorSet, set_key

NETWORK_BYTES_MAXIMUM = 262_144
NETWORK_PREFIX = b"\x01\x01"  # type 1, version 1
SEATS_MINIMUM = 4  # a quarter of them, which newcomers draw for, is then one at least
SETS_KEPT = 8192  # epochs for which a round or evidence may still refer to a validator set
HOLDERS_MAXIMUM = 1024  # of a fragment, in an epoch
PARAMETER_MAXIMUM = 2**48  # of the ledger's: sums and products of a network's lifetime then stay within their fields


@dataclass(frozen=True, slots=True)
class Params:
    """The ledger's numbers. Times in milliseconds, deadlines in blocks, money in nanos."""

    block_interval_min_ms: int
    block_interval_ms: int
    block_interval_max_ms: int
    block_gas_maximum: int
    base_fee_initial: int
    base_fee_minimum: int
    epoch_blocks: int
    registrations_per_block: int
    stamp_bits: int
    proof_window_ms: int
    inner_steps: int
    segment_steps: int
    sequences: int
    sequence_length: int
    seats: int
    train_blocks: int
    grace_blocks_minimum: int
    reveal_blocks: int
    hold_blocks: int
    result_blocks: int
    rate_batch_nanos: int
    base_work_batches: int
    vest_rounds: int
    burn_basis_points: int
    stake_minimum_nanos: int
    stake_target_nanos: int
    target_epochs: int
    sunset_height: int
    unbonding_epochs: int
    jail_epochs: int
    active_basis_points: int
    downtime_basis_points: int
    equivocation_basis_points: int
    correlation_factor: int
    reporter_maximum_nanos: int
    lane_gas_maximum: int
    rate_minute_nanos: int
    rate_sample_nanos: int
    uptime_basis_points: int
    data_basis_points: int
    audit_warmup_rounds: int
    audit_steady_basis_points: int
    audit_floor_rounds: int
    audit_floor_basis_points: int
    audit_second_basis_points: int
    plant_basis_points: int
    audit_attempts: int
    opening_blocks: int
    audit_blocks: int
    showing_blocks: int
    challenge_blocks: int
    dispute_blocks: int
    audit_pay_basis_points: int
    audit_misses: int
    audit_fault_basis_points: int
    fraud_basis_points: int
    suspension_rounds: int
    tolerance_theta_billionths: int
    tolerance_m_billionths: int
    tolerance_v_billionths: int
    holders: int
    corpus_shards: int

    @property
    def segments(self) -> int:
        return self.inner_steps // self.segment_steps

    @property
    def batch_tokens(self) -> int:
        return self.sequences * self.sequence_length


@dataclass(frozen=True, slots=True)
class Parameter(Wire):
    name: Annotated[bytes, Var(64)]
    value: U128


@dataclass(frozen=True, slots=True)
class BootstrapValidator(Wire):
    """A founder of the network: votes with phantom power that can never be spent."""

    public_key: BlsPublicKey
    possession: BlsSignature
    payout: Address


@dataclass(frozen=True, slots=True)
class Network(Wire):
    """The genesis. `start` holds the roots of the model that is born from `model_seed`."""

    name: Annotated[bytes, Var(64)]
    created_ms: U64
    model_seed: Hash
    tokenizer_hash: Hash
    corpus_root: Hash
    start: Outcome
    parameters: Annotated[tuple[Parameter, ...], 1024]
    validators: Annotated[tuple[BootstrapValidator, ...], 7]

    def __hash__(self) -> int:
        # Asked for by every transaction: two fields tell networks apart well enough, equality does the rest.
        return int.from_bytes(self.model_seed[:7], "big") ^ self.created_ms

    def file_bytes(self) -> bytes:
        """The network file: type and version byte, then the fields."""
        return NETWORK_PREFIX + self.encode()

    @property
    def chain_id(self) -> bytes:
        return _chain_id(self)

    @property
    def params_hash(self) -> bytes:
        return _params_hash(self)

    @property
    def params(self) -> Params:
        return _params(self)

    def section(self, name: str) -> dict[str, int]:
        """The numbers under `name.`, without the prefix."""
        prefix = name.encode() + b"."
        return {p.name[len(prefix) :].decode(): p.value for p in self.parameters if p.name.startswith(prefix)}


# Every transaction asks for these two, and a network never changes.
@lru_cache(maxsize=64)
def _chain_id(network: Network) -> bytes:
    return tagged_hash("chain", network.file_bytes())


@lru_cache(maxsize=64)
def _params_hash(network: Network) -> bytes:
    return tagged_hash("params", *(parameter.encode() for parameter in network.parameters))


@lru_cache(maxsize=64)
def _params(network: Network) -> Params:
    return Params(**network.section("chain"))


def parse_network(data: bytes) -> Network:
    """The network of a file's bytes, fully checked. Raises InvalidGenesis with what is wrong."""
    if len(data) > NETWORK_BYTES_MAXIMUM or data[:2] != NETWORK_PREFIX:
        raise InvalidGenesis("this is no network file: the file `network` of a data directory is wanted")
    try:
        network = Network.decode(data[2:])
    except DecodeError as error:
        raise InvalidGenesis(f"the network file is damaged: {error}") from error
    check_network(network)
    return network


def check_network(network: Network) -> None:
    names = [parameter.name for parameter in network.parameters]
    if names != sorted(set(names)):
        raise InvalidGenesis("parameter names must be unique and in order")
    if not all(name.isascii() for name in names):
        raise InvalidGenesis("parameter names must be ASCII")
    if not _is_printable(network.name):
        raise InvalidGenesis("the network's name must be printable UTF-8")
    check_params(network.section("chain"))
    keys = [validator.public_key for validator in network.validators]
    if not keys or len(set(keys)) != len(keys):
        raise InvalidGenesis(f"1 to 7 different bootstrap validators are wanted, {len(set(keys))} found")
    for validator in network.validators:
        if not bls.verify_possession(validator.public_key, validator.possession):
            raise InvalidGenesis(f"validator {validator.public_key.hex()[:16]} does not prove possession of its key")


def _is_printable(name: bytes) -> bool:
    try:
        return name.decode().isprintable()
    except UnicodeDecodeError:
        return False


def check_params(section: Mapping[str, int]) -> Params:
    """The ledger's parameters. Raises InvalidGenesis if one is missing, unknown or out of its bounds."""
    wanted = [field.name for field in fields(Params)]
    if section.keys() != set(wanted):
        missing, unknown = sorted(set(wanted) - section.keys()), sorted(section.keys() - set(wanted))
        raise InvalidGenesis(f"chain parameters: missing {missing}, unknown to this program {unknown}")
    params = Params(**section)
    may_be_zero = {
        *("stamp_bits", "registrations_per_block", "base_fee_minimum", "rate_batch_nanos", "rate_minute_nanos"),
        *("rate_sample_nanos", "vest_rounds", "reporter_maximum_nanos", "audit_warmup_rounds", "suspension_rounds"),
        *(name for name in wanted if name.endswith("_basis_points") and name != "burn_basis_points"),
    }
    zero = [name for name in wanted if section[name] == 0 and name not in may_be_zero]
    if zero:
        raise InvalidGenesis(f"these chain parameters must be at least 1: {zero}")
    large = [name for name in wanted if section[name] > PARAMETER_MAXIMUM]
    if large:
        raise InvalidGenesis(f"these chain parameters are above {PARAMETER_MAXIMUM}: {large}")
    _check_work_params(params)
    _check_audit_params(params)
    shares = [name for name in wanted if name.endswith("_basis_points") and section[name] > 10_000]
    if shares or params.stamp_bits > 64:
        raise InvalidGenesis(
            f"basis points ≤ 10000 and stamp_bits ≤ 64 are wanted; too large: {shares or 'stamp_bits'}"
        )
    if params.unbonding_epochs > SETS_KEPT - 2:
        raise InvalidGenesis(f"unbonding_epochs ≤ {SETS_KEPT - 2} are wanted: evidence needs the sets of that time")
    if params.lane_gas_maximum >= params.block_gas_maximum:
        raise InvalidGenesis("lane_gas_maximum is a part of block_gas_maximum: something must be left for who pays")
    if not params.block_interval_min_ms <= params.block_interval_ms <= params.block_interval_max_ms:
        raise InvalidGenesis("block intervals must be in order: min ≤ usual ≤ max")
    if params.base_fee_initial < params.base_fee_minimum:
        raise InvalidGenesis(f"the base fee starts at {params.base_fee_initial}, below its minimum")
    return params


def _check_work_params(params: Params) -> None:
    """Rounds, segments and seats fit the fields that count them, and a round fits the time that sets are kept."""
    segments = params.segments
    if params.inner_steps % params.segment_steps or segments > SEGMENTS_MAXIMUM or params.inner_steps >= 2**32:
        raise InvalidGenesis(
            f"{params.inner_steps} inner steps (below 2^32) do not divide into at most {SEGMENTS_MAXIMUM} segments "
            f"of {params.segment_steps}"
        )
    if not SEATS_MINIMUM <= params.seats <= SEATS_MAXIMUM:
        raise InvalidGenesis(f"{params.seats} seats, {SEATS_MINIMUM} to {SEATS_MAXIMUM} are allowed")
    if params.holders > HOLDERS_MAXIMUM or params.corpus_shards > SHARDS_MAXIMUM:
        raise InvalidGenesis(f"at most {HOLDERS_MAXIMUM} holders and {SHARDS_MAXIMUM} corpus shards are allowed")
    if params.inner_steps * params.batch_tokens >= 2**64:
        raise InvalidGenesis("the tokens of a round do not fit 64 bits")
    attesting = params.reveal_blocks + params.hold_blocks + params.result_blocks
    if attesting > (SETS_KEPT - 2) * params.epoch_blocks:
        raise InvalidGenesis(f"a round attests for {attesting} blocks, its validator set may be forgotten by then")


def _check_audit_params(params: Params) -> None:
    """Auditors name every step of a segment, and find room; an audit ends while its validator set is known."""
    if params.segment_steps > INNER_MAXIMUM:
        raise InvalidGenesis(f"segments of {params.segment_steps} steps, an auditor can name {INNER_MAXIMUM}")
    if 2 * (params.audit_attempts + 1) > AUDITORS_MAXIMUM:
        raise InvalidGenesis(f"audit_attempts ≤ {AUDITORS_MAXIMUM // 2 - 1} are wanted: each may have two auditors")
    if audit_lifetime(params) > (SETS_KEPT - 2) * params.epoch_blocks:
        raise InvalidGenesis(
            f"an audit may take {audit_lifetime(params)} blocks, its validator set may be forgotten by then"
        )
    if max(params.fraud_basis_points, params.audit_fault_basis_points) >= 10_000:
        raise InvalidGenesis("fraud and audit faults leave something of a stake: its wallet may be a member of the set")


def audit_lifetime(params: Params) -> int:
    """The most blocks for which an audit can be open: the sum of its deadlines. A node opens, and shows its secret.

    Each attempt after the first begins in the block after the one that ended the last.
    """
    attempt = params.audit_blocks + params.showing_blocks + params.challenge_blocks
    return (
        2 * params.opening_blocks
        + (params.audit_attempts + 1) * attempt
        + params.audit_attempts
        + params.dispute_blocks
    )


def genesis_state(network: Network) -> State:
    """The state at height 0: nothing is minted, the bootstrap validators have their phantom power."""
    params = network.params
    state = State(lambda _: None)
    state.put(
        LEDGER_KEY,
        Ledger(
            mix=tagged_hash("mix", network.chain_id),
            base_fee=params.base_fee_initial,
            round=0,
            ended_round=0,
            drawn_round=0,
            closed_rounds=0,
            settled_round=0,
            released_round=0,
            nodes=0,
            veterans=0,
            work=0,
            arrivals=0,
            tokens=0,
            active_maximum=0,
            model=network.start,
        ),
    )
    state.put(set_key(0), ValidatorSet(bootstrap_members(network, 0)))
    state.put(SUPPLY_KEY, Supply())
    state.put(STAKING_KEY, Staking((), phantom_power(params, 0), 0, False, ()))
    state.put(PARTICIPATION_KEY, Participation(0, ()))
    _put_storage(state, network)
    return state


def _put_storage(state: State, network: Network) -> None:
    """Nobody is registered yet, so nobody has a storage seat in the first epoch."""
    leaves = fragment_leaves(network.section("model"))
    state.put(FRAGMENTS_KEY, Fragments(leaves))
    fixed = state.ledger.mix, network.start.model_root, 0, network.created_ms
    state.put(STORAGE_KEY, Storage(0, *fixed, 0, 0, ZERO, 0, (0,) * len(leaves)))


def phantom_power(params: Params, active_maximum: int) -> int:
    """A bootstrap validator's voting power, which nobody can spend: it fades as active real stake grows."""
    target = params.stake_target_nanos
    return params.stake_minimum_nanos * max(0, target - active_maximum) // target


def bootstrap_members(network: Network, active_maximum: int) -> tuple[Validator, ...]:
    """The bootstrap validators with their phantom power, by public key."""
    power = phantom_power(network.params, active_maximum)
    return tuple(Validator(key, power) for key in sorted(v.public_key for v in network.validators))
