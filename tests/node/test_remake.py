"""States that an audit wants and that are gone are made again to the bit, or it is told why they cannot be."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from chain.state import AUDITING, AUDITS_KEY, OPENING, PASSED, AuditName, AuditQueue, Claim, State, audit_key, claim_key
from node.remake_asking import Audited, RemakeAsking, Shelf
from node.trainer_messages import Remade, Remake
from tests.node.lone_node import IDENTITY, named, tiny_network
from tests.node.test_averages import SEGMENTS, Training
from tests.node.test_planted import HALF, a_mixed_command, states_of
from tests.node.test_segment_keep import an_audit

US = IDENTITY.node


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path / "node", network=tiny_network(plant_basis_points=HALF))


def a_trained_round(training: Training) -> Claim:
    """Round 2, which goes on with averages and has planted segments, as the ledger knows it."""
    training.close(training.train())
    a_mixed_command(training)
    training.train()
    training.node.block()
    claim: Claim = training.node.state.need(Claim, claim_key(2, US))
    # It was trained by another mix than the ledger's, so that some segments are planted and some are not.
    return replace(claim, states=tuple(each.state_after for each in training.node.driver.work.segments))


def shelf_of(training: Training) -> Shelf:
    return Shelf(states_of(training), training.node.outcomes.models, training.folder / "work")


def audited_of(training: Training, claim: Claim, segment: int) -> Audited:
    current = replace(training.node.state.round(2), mix=training.command.mix)
    return Audited(current, an_audit(segment, AUDITING), replace(claim, theta_root=theta_of(training)))


def theta_of(training: Training) -> bytes:
    done = training.node.driver.work.done
    assert done is not None
    return done.theta_root


def remade(training: Training, command: Remake) -> str:
    training.process.remake(command)
    event = training.said[-1]
    assert isinstance(event, Remade) and event.round == 2
    return event.reason


def lose(training: Training, what: str) -> None:
    """What a power cut or a hand may do to the states."""
    for path in (training.folder / "segments").iterdir():
        match what:
            case "everything":
                path.unlink()
            case "files" if path.suffix != ".jsonl":
                path.unlink()
            case "bytes" if path.suffix != ".jsonl" and path.name != "lock":
                path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("what", ["everything", "files", "bytes"])
@pytest.mark.parametrize("segment", [0, 1, SEGMENTS - 1])
def test_lost_states_of_an_audited_segment_are_made_again_to_the_bit(
    training: Training, what: str, segment: int
) -> None:
    claim = a_trained_round(training)
    shelf, audited = shelf_of(training), audited_of(training, claim, segment)
    wanted = [shelf.states.parts(2, segment + at) for at in (0, 1)]
    assert shelf.is_whole(audited)
    lose(training, what)
    assert not shelf.is_whole(audited)
    command = shelf.command(audited, training.command.plant_secret)
    assert command is not None and remade(training, command) == ""
    assert shelf.is_whole(audited) and [shelf.states.parts(2, segment + at) for at in (0, 1)] == wanted


def test_after_a_remade_round_the_trainer_goes_on_with_the_next_one(training: Training) -> None:
    training.close(training.train())
    done = training.train()
    training.node.block()
    claim = training.node.state.need(Claim, claim_key(2, US))
    audited = Audited(training.node.state.round(2), an_audit(1, AUDITING), replace(claim, theta_root=done.theta_root))
    training.close(done)
    lose(training, "everything")
    training.restart()
    command = shelf_of(training).command(audited, training.node.driver.plant_secret_of(claim))
    assert command is not None and remade(training, command) == "" and shelf_of(training).is_whole(audited)
    training.close(training.train())
    assert training.node.state.ledger.closed_rounds == 3


@pytest.mark.parametrize("wrong", ["first", "last", "plant_secret"])
def test_what_does_not_lead_to_the_proven_states_is_told(training: Training, wrong: str) -> None:
    claim = a_trained_round(training)
    lose(training, "everything")
    command = shelf_of(training).command(audited_of(training, claim, 1), training.command.plant_secret)
    assert command is not None
    assert "cannot be made again" in remade(training, replace(command, **{wrong: named("another")}))
    assert remade(training, command) == ""


def test_averages_and_base_must_be_here_and_sound(training: Training) -> None:
    claim = a_trained_round(training)
    shelf, audited = shelf_of(training), audited_of(training, claim, 1)
    command = shelf.command(audited, training.command.plant_secret)
    assert command is not None
    (training.folder / "work" / "averages-9-nonsense.safetensors").write_bytes(b"")
    [averages] = training.folder.glob(f"work/averages-1-{command.averages_root.hex()}*")
    content = averages.read_bytes()
    averages.write_bytes(content[:-1])
    assert "damaged or cut short" in remade(training, command)
    averages.unlink()
    assert shelf.command(audited, training.command.plant_secret) is None
    averages.write_bytes(content)
    assert shelf.command(audited, training.command.plant_secret) == command
    Path(command.base).write_bytes(b"")
    assert shelf.command(audited, training.command.plant_secret) is None


# ---- Who asks


class Asking:
    """An asking with all its words; the state holds audits that are put by hand."""

    def __init__(self, training: Training) -> None:
        self.claim = a_trained_round(training)
        self.training = training
        self.asked: list[Remake] = []
        self.told: list[str] = []
        self.asking = RemakeAsking(US, shelf_of(training), self.asked.append, self.told.append)
        self.state: State = training.node.state.fork()
        audited = audited_of(training, self.claim, 1)
        self.state.put(claim_key(2, US), audited.claim)

    def audit(self, node: bytes, phase: int) -> None:
        audit = an_audit(1, phase)
        self.state.put(audit_key(2, node), audit)
        self.state.put(AUDITS_KEY, AuditQueue((AuditName(2, node),) if audit.is_open else ()))

    async def follow(self) -> None:
        self.asking.follow(self.state, self.training.node.driver.plant_secret_of)
        await self.asking.stop()


async def test_nothing_is_asked_while_all_is_here_or_another_node_is_audited(training: Training) -> None:
    asking = await in_thread(training)
    asking.audit(US, OPENING)
    await asking.follow()
    lose(training, "everything")
    asking.audit(named("another node"), OPENING)
    await asking.follow()
    assert asking.asked == [] and asking.told == []


async def test_each_audit_with_lost_states_is_asked_for_once(training: Training) -> None:
    asking = await in_thread(training)
    lose(training, "files")
    asking.audit(US, OPENING)
    for phase in (OPENING, AUDITING, AUDITING):
        asking.audit(US, phase)
        await asking.follow()
    [command] = asking.asked
    assert (command.round, command.segment, command.segments) == (2, 1, SEGMENTS) and len(asking.told) == 1
    assert command.plant_secret == training.command.plant_secret
    asking.audit(US, PASSED)
    await asking.follow()
    assert len(asking.asked) == 1


async def test_what_cannot_be_made_again_is_told(training: Training) -> None:
    asking = await in_thread(training)
    lose(training, "files")
    for path in training.kept():
        path.unlink()
    asking.audit(US, OPENING)
    await asking.follow()
    assert asking.asked == [] and "neither its base nor its averages are here" in asking.told[0]


async def in_thread(training: Training) -> Asking:
    """Training runs an event loop of its own."""
    return await asyncio.to_thread(Asking, training)
