"""One node through stops and kills: nothing is trained twice, nothing is proven twice, and the ledger replays."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest

from chain.genesis import Network, parse_network
from chain.state import Claim, claim_key
from node.archive import Replay
from node.key_value import KeyValue, open_key_value
from node.payload_store import PayloadStore
from node.segment_store import SegmentStore
from node.store import Store
from node.template import Learning
from node.trainer_messages import SegmentDone, from_line
from node.work_log import WorkLog
from tests.node.conftest import NUMBERS, ROUNDS, WORDS, Life
from tests.node.processes import PASSWORD, is_alive
from wallet.keys import Wallet

SEGMENTS = NUMBERS["chain.inner_steps"] // NUMBERS["chain.segment_steps"]
pytestmark = pytest.mark.timeout(400)
KEYS = {
    "chain_id", "phase", "height", "state_root", "minted_nanos", "burned_nanos", "circulating_nanos", "round",
    "outer_root", "model_root", "parameters", "validation_loss", "first_validation_loss", "bigram_loss",
    "tokens_trained", "balance_nanos", "vesting_nanos", "peers", "device",
}  # fmt: skip


@dataclass
class Opened:
    """The files of the stopped node."""

    network: Network
    database: KeyValue
    store: Store

    def work_log(self, life: Life) -> WorkLog:
        learning = Learning.of(self.network)
        return WorkLog(life.home / "work", ROUNDS + 1, learning.parameters, SegmentStore(life.home / "segments"))


@pytest.fixture(scope="module")
def opened(life: Life) -> Iterator[Opened]:
    network = parse_network((life.home / "network").read_bytes())
    database = open_key_value(life.home / "ledger")
    yield Opened(network, database, Store(database, network))
    database.close()


def segments(log: bytes) -> list[SegmentDone]:
    found = [from_line(line) for line in log.splitlines(keepends=True) if line.endswith(b"\n")]
    assert all(isinstance(each, SegmentDone) for each in found)
    return found  # type: ignore[return-value]


def test_the_status_of_a_running_node_has_every_key(life: Life) -> None:
    assert life.first_status.keys() >= KEYS
    assert life.first_status["phase"] == "bootstrap" and life.first_status["device"] == "cpu"
    assert life.first_status["round"] == 1 and life.first_status["peers"] == 0


def test_ctrl_c_ends_with_status_0_and_says_where_everything_is(life: Life) -> None:
    assert life.stopped.status == 0
    assert str(life.home) in life.stopped.out.replace("\n", "") and "goes on from there" in life.stopped.out
    assert f"round {ROUNDS + 1}." in " ".join(life.stopped.out.split())


def test_the_start_after_a_kill_goes_on_at_the_same_height_and_round(life: Life) -> None:
    assert life.resumed_status["height"] >= life.first_status["height"] > 0
    assert life.resumed_status["round"] == life.first_status["round"] == 1
    assert life.resumed_status["chain_id"] == life.first_status["chain_id"]
    assert life.resumed_status["first_validation_loss"] == life.first_status["first_validation_loss"]


def test_segments_finished_before_a_kill_are_not_trained_again(life: Life) -> None:
    before, after = segments(life.before_kill), segments(life.after_kill)
    # The last one may have been written down without its state: then it is trained again, to the same bits.
    assert 2 <= len(before) < SEGMENTS and after[: len(before) - 1] == before[:-1]
    assert after[len(before) - 1].state_after == before[-1].state_after
    assert [each.segment for each in after] == list(range(len(after)))


def test_a_killed_trainer_is_started_again_and_rounds_go_on(life: Life) -> None:
    first, second = life.trainers
    assert first and second and first != second
    assert life.after_trainer_kill["closed_rounds"] >= ROUNDS
    assert not is_alive(first) and not is_alive(second)


def test_segments_finished_before_a_stop_are_there_to_be_gone_on_with(life: Life, opened: Opened) -> None:
    before = segments(life.segments(ROUNDS + 1))
    claim = opened.store.state().find(Claim, claim_key(ROUNDS + 1, bytes.fromhex(life.stopped_status["node"])))
    found = opened.work_log(life).resume()
    assert found is not None
    known = found.segments
    assert 2 <= len(known) < SEGMENTS and known == before[: len(known)]
    assert claim is not None and claim.states == tuple(each.state_after for each in known[: len(claim.states)])


def test_states_of_rounds_whose_audits_are_over_are_gone_and_those_of_the_round_in_training_are_here(
    life: Life, opened: Opened
) -> None:
    store, learning = SegmentStore(life.home / "segments"), Learning.of(opened.network)
    assert [path.name for path in store.folder.glob("*.jsonl")] == [f"round-{ROUNDS + 1}.jsonl"]
    known = store.boundaries(ROUNDS + 1)
    assert set(known) == set(range(len(known))) and len(known) >= 3
    assert all(store.load(known[number], learning.parameters) is not None for number in range(1, len(known) - 1))
    # Of the last one a stop may have left the line alone.
    names = {root.hex() for at in known.values() for root in (at.parts.theta_root, at.parts.m_root, at.parts.v_root)}
    assert {path.name for path in store.folder.iterdir()} - names == {"lock", f"round-{ROUNDS + 1}.jsonl"}


def test_a_node_that_has_reached_its_round_ends_with_status_0_and_one_object_on_stdout(life: Life) -> None:
    assert life.finished.status == 0
    status = json.loads(life.finished.out)
    assert status.keys() >= KEYS and status["closed_rounds"] == ROUNDS and status["round"] == ROUNDS + 1
    assert status["height"] >= life.stopped_status["height"] and int(status["minted_nanos"]) >= 0
    assert status["tokens_trained"] >= ROUNDS * NUMBERS["chain.inner_steps"] * 4 * 64
    assert status["validation_loss"] < status["first_validation_loss"]


def test_the_ledger_replays_and_no_segment_is_proven_twice_nor_left_out(life: Life, opened: Opened) -> None:
    counts = Replay(opened.database, opened.network, PayloadStore(life.home / "payloads")).run()
    store = opened.store
    blocks = [stored.block for height in range(1, store.height + 1) if (stored := store.block(height))]
    proven = [(proof.round, proof.segment) for block in blocks for proof in block.body.proofs]
    whole = [(number, segment) for number in range(1, ROUNDS + 1) for segment in range(SEGMENTS)]
    begun = [(ROUNDS + 1, segment) for segment in range(len(proven) - len(whole))]
    assert proven == whole + begun
    assert (counts.rounds_closed, counts.rounds_void) == (ROUNDS, 0)
    assert all(one.header.time_ms < other.header.time_ms for one, other in pairwise(blocks))


def test_no_output_and_no_file_holds_a_secret(life: Life) -> None:
    for ended in (life.stopped, life.finished):
        assert WORDS not in " ".join((ended.out + ended.err).split()) and PASSWORD not in ended.out + ended.err
    for path in life.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert WORDS.encode() not in content and PASSWORD.encode() not in content, path


# ---- The log


def written(life: Life) -> dict[str, bytes]:
    """Everything that the node wrote and printed, the keystore aside."""
    files = [path for path in life.home.rglob("*") if path.is_file() and path.name != "keystore.json"]
    printed = {"stdout": life.stopped.out + life.finished.out, "stderr": life.stopped.err + life.finished.err}
    return {str(path): path.read_bytes() for path in files} | {name: text.encode() for name, text in printed.items()}


def test_no_secret_stands_in_the_log_or_anywhere_but_in_the_keystore(life: Life) -> None:
    wallet = Wallet.from_words(WORDS)
    keys = [wallet.entropy, wallet.seed, wallet.wallet_key(), wallet.node_key(), wallet.validator_key()]
    secrets = [PASSWORD.encode(), *(" ".join(WORDS.split()[at : at + 3]).encode() for at in range(10))]
    secrets += [form for key in keys for form in (key, key.hex().encode(), key.hex().upper().encode())]
    for name, content in written(life).items():
        assert not [secret for secret in secrets if secret in content], name
    assert Wallet.load(life.home / "keystore.json", PASSWORD) == wallet


def test_the_log_tells_a_nodes_life(life: Life) -> None:
    log = (life.home / "logs" / "node.log").read_text()
    for event in (
        "started source=node version=", "block final source=blocks", "round closed source=rounds",
        "proofs final source=rounds", "segment done source=trainer", "ready source=trainer",
        "failed, will be started again source=trainer", "stopped source=node reason=SIGINT",
        'stopped source=node reason="the wanted round is closed"',
    ):  # fmt: skip
        assert event in log, event
    assert f"data_directory={life.home}" in log and log.count(" started source=node") == 3


def test_a_refused_request_is_one_line_of_the_log(life: Life) -> None:
    lines = (life.home / "logs" / "node.log").read_text().splitlines()
    assert life.refused.startswith(b"HTTP/1.1 400") or life.refused.startswith(b"HTTP/1.0 400")
    [at] = [number for number, line in enumerate(lines) if "request refused" in line]
    assert lines[at].split()[1] == "debug" and not lines[at + 1].startswith("    ")


def test_the_terminal_shows_warnings_of_the_log_and_none_of_the_rest(life: Life) -> None:
    shown = " ".join((life.stopped.out + life.stopped.err).split())
    assert "warning: NEUROSHARD_THREAD is not a setting" in shown
    assert "block final" not in shown and "segment done" not in shown and shown.count("Training has stopped") == 1
