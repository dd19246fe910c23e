"""Whatever bytes a peer sends, of every kind and at any time: no node ends, and the chain goes on."""

from random import Random

from network.kinds import (
    BLOCK,
    BLOCK_ABSENT,
    BLOCK_REQUEST,
    EPOCHS,
    EPOCHS_REQUEST,
    KINDS,
    MISSING,
    MISSING_REQUEST,
    RANGE,
    RANGE_REQUEST,
    SNAPSHOT,
    SNAPSHOT_REQUEST,
    STATE,
    STATE_REQUEST,
)
from node.relay_messages import BlockName, Missing, MissingRequest
from node.store import Store
from node.sync_messages import EpochsRequest, RangeRequest, SnapshotOffer, SnapshotRequest, StateRequest
from node.sync_server import epochs_of, range_of, state_of
from tests.node.quiet_world import QuietWorld, quiet_world
from tests.simulator.machine import Machine
from tests.simulator.runtime import SimRuntime

MESSAGES = 4_000
KEPT = 100  # true messages of a kind to begin with


def overhear(world: QuietWorld) -> dict[int, list[bytes]]:
    """True messages by kind, as they are sent."""
    heard: dict[int, list[bytes]] = {}
    send = world.links.send

    def listening(sender: SimRuntime, receiver: Machine, kind: int, payload: bytes) -> None:
        heard[kind] = [*heard.get(kind, [])[-KEPT:], payload]
        send(sender, receiver, kind, payload)

    world.links.send = listening  # type: ignore[method-assign]
    return heard


def questions_and_answers(store: Store) -> dict[int, list[bytes]]:
    """What nobody says in a world where all is well."""
    heights = range(1, store.height)
    hashes = [store.hash_at(height) for height in heights]
    names = [BlockName(each).encode() for each in hashes]
    ranges = [RangeRequest(height, height, 20) for height in heights]
    epochs = [EpochsRequest(number, number, 5, True) for number in range(5)]
    states = [StateRequest(height, height, ()) for height in range(5)]
    return {
        BLOCK_REQUEST: names,
        BLOCK_ABSENT: names,
        BLOCK: [store.encoded_block(height) or b"" for height in heights],
        MISSING_REQUEST: [MissingRequest(each, (0, 1)).encode() for each in hashes],
        MISSING: [Missing(each, ()).encode() for each in hashes],
        RANGE_REQUEST: [each.encode() for each in ranges],
        RANGE: [range_of(store, each) for each in ranges],
        EPOCHS_REQUEST: [each.encode() for each in epochs],
        EPOCHS: [epochs_of(store, each).encode() for each in epochs],
        STATE_REQUEST: [each.encode() for each in states],
        STATE: [state_of(store, each).encode() for each in states],
        SNAPSHOT_REQUEST: [SnapshotRequest(1).encode()],
        SNAPSHOT: [SnapshotOffer(1, 1, bytes(32)).encode()],
    }


def spoilt(payload: bytes, chance: Random) -> bytes:
    """Bits, numbers, the length or the order changed."""
    out = bytearray(payload or b"\0")
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(out))
        match chance.randrange(6):
            case 0:
                out[at] ^= 1 << chance.randrange(8)
            case 1:
                out[at : at + 8] = chance.choice((b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7))
            case 2:
                del out[at + 1 :]
            case 3:
                out += chance.randbytes(chance.randrange(1, 40))
            case 4:
                other = chance.randrange(len(out))
                out[at : at + 32] = out[other : other + 32]
            case _:
                out[at] = chance.choice((0, 1, 128, 255))
    return bytes(out)


def test_random_and_spoilt_messages_of_every_kind_end_no_node_and_stop_no_chain() -> None:
    chance = Random(1)
    with quiet_world(epoch_blocks=6, trainers=1, transaction_ms=300) as world:
        heard = overhear(world)
        world.clients.start()
        world.boot()
        world.pass_ms(4_000)
        world.links.blame = lambda *blame: None  # type: ignore[method-assign]  # Else the stranger would soon be alone.
        node = world.v[0].node
        assert node is not None
        true = questions_and_answers(node.store) | heard

        def say() -> None:
            for _ in range(20):
                kind = chance.choice(sorted(KINDS))
                match chance.randrange(10):
                    case 0 | 1:
                        payload = chance.randbytes(chance.randrange(300))
                    case 2:
                        payload = chance.choice(true[chance.choice(sorted(true))])
                    case _:
                        payload = spoilt(chance.choice(true.get(kind, [bytes(40)])), chance)
                world.say(world.stranger, kind, payload, chance.choice(world.honest))

        world.every(20, say)
        assert world.pass_ms(MESSAGES) >= 15
        assert sum(world.stranger.blamed.values()) > MESSAGES // 4
