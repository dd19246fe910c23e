"""A network: parameters, model, hashes and bootstrap validators. The hash of its encoding is the chain id.

All numbers are unsigned integers under dotted names: `chain.*` are the ledger's (class Params); `model.*`, `inner.*` and
`outer.*` belong to training and only pass through here. New rules add names; the layout stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated

from chain.block import Outcome, Validator
from chain.codec import U64, U128, Address, BlsPublicKey, BlsSignature, Hash, Var, Wire
from chain.crypto import bls
from chain.crypto.hashing import tagged_hash
from chain.errors import DecodeError, InvalidGenesis
from chain.state import LEDGER_KEY, SUPPLY_KEY, Ledger, State, Supply, ValidatorSet, set_key

NETWORK_BYTES_MAXIMUM = 262_144
NETWORK_PREFIX = b"\x01\x01"  # type 1, version 1


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
    reveal_blocks: int
    hold_blocks: int
    result_blocks: int
    rate_batch_nanos: int
    base_work_batches: int
    vest_rounds: int
    burn_basis_points: int
    stake_minimum_nanos: int
    stake_target_nanos: int

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

    def file_bytes(self) -> bytes:
        """The network file: type and version byte, then the fields."""
        return NETWORK_PREFIX + self.encode()

    @property
    def chain_id(self) -> bytes:
        return tagged_hash("chain", self.file_bytes())

    @property
    def params_hash(self) -> bytes:
        return tagged_hash("params", *(parameter.encode() for parameter in self.parameters))

    @property
    def params(self) -> Params:
        return Params(**self.section("chain"))

    def section(self, name: str) -> dict[str, int]:
        """The numbers under `name.`, without the prefix."""
        prefix = name.encode() + b"."
        return {p.name[len(prefix) :].decode(): p.value for p in self.parameters if p.name.startswith(prefix)}


def parse_network(data: bytes) -> Network:
    """The network of a file's bytes, fully checked. Raises InvalidGenesis with what is wrong."""
    if len(data) > NETWORK_BYTES_MAXIMUM or data[:2] != NETWORK_PREFIX:
        raise InvalidGenesis("this is no network file: a file made by `neuroshard network create` is wanted")
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
    check_params(network.section("chain"))
    keys = [validator.public_key for validator in network.validators]
    if not keys or len(set(keys)) != len(keys):
        raise InvalidGenesis(f"1 to 7 different bootstrap validators are wanted, {len(set(keys))} found")
    for validator in network.validators:
        if not bls.verify_possession(validator.public_key, validator.possession):
            raise InvalidGenesis(f"validator {validator.public_key.hex()[:16]} does not prove possession of its key")


def check_params(section: Mapping[str, int]) -> Params:
    """The ledger's parameters. Raises InvalidGenesis if one is missing, unknown or out of its bounds."""
    wanted = {field.name for field in fields(Params)}
    if section.keys() != wanted:
        missing, unknown = sorted(wanted - section.keys()), sorted(section.keys() - wanted)
        raise InvalidGenesis(f"chain parameters: missing {missing}, unknown to this program {unknown}")
    params = Params(**section)
    may_be_zero = {"stamp_bits", "registrations_per_block", "base_fee_minimum", "rate_batch_nanos", "vest_rounds"}
    zero = [name for name in wanted - may_be_zero if section[name] == 0]
    if zero:
        raise InvalidGenesis(f"these chain parameters must be at least 1: {sorted(zero)}")
    if params.inner_steps % params.segment_steps or params.segments > 1024:
        raise InvalidGenesis(
            f"{params.inner_steps} inner steps do not divide into ≤ 1024 segments of {params.segment_steps}"
        )
    if params.seats > 1024 or params.burn_basis_points > 10_000 or params.stamp_bits > 64:
        raise InvalidGenesis("seats ≤ 1024, burn_basis_points ≤ 10000 and stamp_bits ≤ 64 are wanted")
    if not params.block_interval_min_ms <= params.block_interval_ms <= params.block_interval_max_ms:
        raise InvalidGenesis("block intervals must be in order: min ≤ usual ≤ max")
    return params


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
            settled_round=0,
            released_round=0,
            nodes=0,
            tokens=0,
            active_maximum=0,
            model=network.start,
        ),
    )
    state.put(set_key(0), ValidatorSet(bootstrap_members(network, 0)))
    state.put(SUPPLY_KEY, Supply())
    return state


def bootstrap_members(network: Network, active_maximum: int) -> tuple[Validator, ...]:
    """The bootstrap validators with their phantom power, which fades as real stake grows. By public key."""
    params = network.params
    target = params.stake_target_nanos
    power = params.stake_minimum_nanos * max(0, target - active_maximum) // target
    return tuple(Validator(key, power) for key in sorted(v.public_key for v in network.validators))
