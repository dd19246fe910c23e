"""Many validators in this process, with the real protocols of a node, on a clock that only events move.

Signatures are made up (`tests.simulator.crypto`) and counted, work takes no time, and a message takes what its link
takes. So finality here is what the protocols wait for; what they compute is measured apart. Start at `Village.run`.
"""

import heapq
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

from chain.block import Validator
from chain.crypto import bls
from chain.crypto.hashing import ZERO
from chain.genesis import Network, Parameter, check_network, phantom_power
from chain.money import BondedStake, mint
from chain.stakes import STAKING_KEY, Stake, ValidatorKey, stake_key, staking, validator_key
from chain.state import NO_OUTCOME, State, ValidatorSet, set_key
from chain.transition import Applied
from chain.tree import Update
from network.kinds import CERTIFICATE, KINDS
from network.peer import VALIDATOR, Peer
from node.consistency import open_sign_state
from node.identity import Identity
from node.ledger_view import LedgerView
from node.mempool import Mempool
from node.own import Hooks, Own
from node.producer import Producer
from node.protocols import Protocols
from node.round_driver import RoundDriver
from node.standing import make_voucher
from node.store import GENESIS_ROOT, Store
from node.template import read_template, template_path
from tests.simulator.crypto import cheap_signatures
from tests.simulator.disk import Disk, SimKeyValue, SimPath, simulated_files
from tests.simulator.training import MadeUpOutcomes

CREATED_MS = 1_700_000_000_000
STARTED_MS = CREATED_MS + 1_000  # by every wall clock
NUMBERS = {  # a block a second; no epoch ends
    "chain.block_interval_min_ms": 200,
    "chain.block_interval_ms": 1_000,
    "chain.block_interval_max_ms": 1_000,
    "chain.epoch_blocks": 1_000_000,
    "chain.stamp_bits": 0,
}
WARM_BLOCKS = 3


@dataclass(slots=True)
class Due:
    """Something that will happen, unless cancelled."""

    action: Callable[[], None] | None

    def cancel(self) -> None:
        self.action = None


class Clock:
    """Microseconds since the start."""

    def __init__(self) -> None:
        self.now_us = self._asked = 0
        self._heap: list[tuple[int, int, Due]] = []

    def after(self, delay_us: int, action: Callable[[], None]) -> Due:
        due = Due(action)
        self._asked += 1
        heapq.heappush(self._heap, (self.now_us + delay_us, self._asked, due))
        return due

    def run(self, is_over: Callable[[], bool]) -> None:
        while self._heap and not is_over():
            self.now_us, _, due = heapq.heappop(self._heap)
            if due.action is not None:
                due.action()


@dataclass(slots=True)
class Counts:
    """What all validators together did."""

    messages: Counter[int] = field(default_factory=Counter)  # received, by kind
    bytes: Counter[int] = field(default_factory=Counter)
    checks: int = 0  # of signatures or sums of them: two pairings each
    keys: int = 0  # summed for them
    signatures: int = 0
    certificate_bytes: int = 0
    processor_s: float = 0.0


class Resident:
    """The surroundings of one validator (`node.runtime.Runtime`), and the validator."""

    def __init__(self, village: "Village", place: int, records: Mapping[bytes, bytes]) -> None:
        self.village, self.place = village, place
        self.identity = village.identities[place]
        self.key = self.identity.node_public_key
        self.random = random.Random(place)
        self.linked: dict[bytes, Resident] = {}
        self.met: dict[bytes, Peer] = {}
        self.lanes: dict[str, deque[tuple[Callable[[], Any], Callable[[Any], None]]]] = {}
        disk = Disk(self.random)
        disk.fill(records)
        network = village.network
        self.view = LedgerView(Store(SimKeyValue(disk), network), network)
        mempool = Mempool(network, self.wall_ms)
        driver = RoundDriver(network, self.identity, MadeUpOutcomes(self.view.state))  # type: ignore[arg-type]
        path = SimPath(disk, "sign-state")
        public_key = self.identity.validator_public_key
        sign_state = open_sign_state(path, self.view, public_key)  # type: ignore[arg-type]
        own = Own(self.identity, self.view, Producer(network, driver, mempool), sign_state, False)
        self.protocols = Protocols(self, own, Hooks(self._on_final))
        self.voucher = make_voucher(network.chain_id, self.key, self.identity.validator_secret)

    def _on_final(self, applied: Applied) -> None:
        header = applied.block.header
        self.village.told(self.place, header.height, self.wall_ms() - header.time_ms, header.view)

    def meet(self, other: "Resident", outbound: bool) -> None:
        self.linked[other.key] = other
        self.met[other.key] = Peer(other.key, "", outbound, VALIDATOR, "", other.voucher, "")
        self.protocols.joined(self.met[other.key])

    # ---- Runtime

    def now_ms(self) -> int:
        return self.village.clock.now_us // 1_000

    def wall_ms(self) -> int:
        return STARTED_MS + self.now_ms()

    def later(self, delay_ms: int, action: Callable[[], None]) -> Due:
        return self.village.clock.after(1_000 * delay_ms, action)

    def offload(self, lane: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        queue = self.lanes.setdefault(lane, deque())
        queue.append((work, done))
        if len(queue) == 1:
            self.village.clock.after(0, lambda: self._work(lane))

    def _work(self, lane: str) -> None:
        queue = self.lanes[lane]
        work, done = queue[0]
        found = work()
        queue.popleft()
        if queue:
            self.village.clock.after(0, lambda: self._work(lane))
        self.village.clock.after(0, lambda: done(found))

    def peers(self) -> Mapping[bytes, Peer]:
        return self.met

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        other = self.linked.get(key)
        if other is not None:
            delay_us = self.village.delay_us(self.place, other.place)
            self.village.clock.after(delay_us, lambda: other.receive(self.key, kind, payload))

    def receive(self, key: bytes, kind: int, payload: bytes) -> None:
        counts = self.village.counts
        counts.messages[kind] += 1
        counts.bytes[kind] += len(payload)
        if kind == CERTIFICATE:
            counts.certificate_bytes = len(payload)
        self.protocols.received(key, kind, payload)

    def fail(self, error: BaseException) -> None:
        raise error

    def blame(self, key: bytes, points: int, reason: str) -> None:
        raise SystemExit(f"one of the validators blames another: {reason}")

    def praise(self, key: bytes) -> None:
        """Nothing to keep."""


class Village:
    """`members` validators of equal power. `links`: who is connected. `delay_us`: one way, from place to place."""

    def __init__(
        self, members: int, links: Iterable[tuple[int, int]], delay_us: Callable[[int, int], int], **numbers: int
    ) -> None:
        self.clock, self.counts, self.delay_us = Clock(), Counts(), delay_us
        self.identities = [_identity(place) for place in range(members)]
        self.network = _network(self.identities[0], {f"chain.{name}": value for name, value in numbers.items()})
        records = _records(self.network, self.identities)
        self.finality: dict[int, dict[int, int]] = {}  # height → place → milliseconds
        self.views: dict[int, int] = {}  # by height
        self._behind = members  # how many have not seen the height that is waited for
        self._wanted = 0
        self.residents = [Resident(self, place, records) for place in range(members)]
        for one, two in links:
            self.residents[one].meet(self.residents[two], True)
            self.residents[two].meet(self.residents[one], False)
        for resident in self.residents:
            resident.protocols.start()

    def told(self, place: int, height: int, passed_ms: int, view: int) -> None:
        self.finality.setdefault(height, {})[place] = passed_ms
        self.views[height] = view
        self._behind -= height == self._wanted

    def run(self, blocks: int) -> Counts:
        """Let so many blocks become final everywhere, after a few that are not counted; what that took."""
        self._until(WARM_BLOCKS)
        self.counts.__init__()  # type: ignore[misc]
        began = time.process_time()
        with self._counted():
            self._until(WARM_BLOCKS + blocks)
        self.counts.processor_s = time.process_time() - began
        return self.counts

    def times(self) -> list[int]:
        """Milliseconds until each counted block was final at each validator."""
        return [
            passed
            for height, found in self.finality.items()
            if WARM_BLOCKS < height <= self._wanted
            for passed in found.values()
        ]

    def given_up(self) -> int:
        """Views without a block since the counting began."""
        return self.views[self._wanted] - self.views[WARM_BLOCKS] - (self._wanted - WARM_BLOCKS)

    def _until(self, height: int) -> None:
        self._wanted = height
        self._behind = len(self.residents) - len(self.finality.get(height, {}))
        self.clock.run(lambda: self._behind == 0)
        if self._behind:
            raise SystemExit(f"nothing happens any more below height {height}")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Within, checks and signatures are counted."""
        library, counts = bls._choice.module, self.counts

        def check(keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
            counts.checks += 1
            counts.keys += len(keys)
            good: bool = library.fast_aggregate_verify(keys, message, signature)
            return good

        def sign(secret: int, message: bytes) -> bytes:
            counts.signatures += 1
            signature: bytes = library.sign(secret, message)
            return signature

        bls._choice.module = SimpleNamespace(**vars(library) | {"fast_aggregate_verify": check, "sign": sign})
        try:
            yield
        finally:
            bls._choice.module = library


@contextmanager
def made_up() -> Iterator[None]:
    """Within, villages can be made: signatures cost little, and records of votes stay in memory."""
    with simulated_files(), cheap_signatures():
        yield


def everybody(members: int) -> list[tuple[int, int]]:
    """Each connected with each."""
    return [(one, two) for two in range(members) for one in range(two)]


def some(members: int, dialled: int, seed: int = 1) -> list[tuple[int, int]]:
    """Each dials so many others, as nodes do that know more than they may dial."""
    chance, found = random.Random(seed), set()
    for one in range(members):
        others = [each for each in range(members) if each != one]
        for two in chance.sample(others, min(dialled, len(others))):
            found.add((min(one, two), max(one, two)))
    return sorted(found)


def by_name(counter: Counter[int]) -> dict[str, int]:
    """Counts of kinds of message, the most first."""
    return {KINDS[kind].name: number for kind, number in counter.most_common()}


def _identity(place: int) -> Identity:
    wallet, node, validator = (sha256(b"resident %d %d" % (place, what)).digest() for what in range(3))
    return Identity(wallet, node, (int.from_bytes(validator, "big") >> 8).to_bytes(32, "big"))


def _network(founder: Identity, numbers: Mapping[str, int]) -> Network:
    found = read_template(template_path(), "dev")["parameters"] | NUMBERS | numbers
    parameters = tuple(Parameter(name.encode(), found[name]) for name in sorted(found))
    network = Network(
        b"village", CREATED_MS, ZERO, ZERO, ZERO, NO_OUTCOME, parameters, (founder.bootstrap_validator(),)
    )
    check_network(network)
    return network


def _records(network: Network, identities: Sequence[Identity]) -> dict[bytes, bytes]:
    """A ledger at height 0 in whose set all are, as if all but the founder had bonded long ago."""
    disk = Disk(random.Random(0))
    store = Store(SimKeyValue(disk), network)
    draft = State(store.state().get)
    power = phantom_power(network.params, 0)
    members, wallets = list(draft.validators(0).members), []
    for identity in identities[1:]:
        key, wallet = identity.validator_public_key, identity.address
        mint(draft, BondedStake(wallet), power)
        draft.put(stake_key(wallet), Stake(key, bonded=power, power=power, since_height=1))
        draft.put(validator_key(key), ValidatorKey(wallet, False))
        members.append(Validator(key, power))
        wallets.append(wallet)
    members.sort(key=lambda member: member.public_key)
    draft.put(set_key(0), ValidatorSet(tuple(members)))
    draft.put(STAKING_KEY, replace(staking(draft), validators=tuple(sorted(wallets))))
    tree = Update(store.node)
    root = tree.apply(disk.records[GENESIS_ROOT], draft.changes)
    disk.write({b"t" + digest: None for digest in tree.stale})
    disk.write({b"t" + digest: record for digest, record in tree.fresh.items()})
    disk.write({b"s" + key: value for key, value in draft.changes.items()} | {GENESIS_ROOT: root})
    return disk.records
