"""What the API tells of a round: who has done what, who is waited for, which share holds what, weights and losses."""

import asyncio
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from chain.receipts import RoundClosed, RoundOpened
from chain.state import HOLDING, RESULT, REVEALING, ROUND_PHASES, Tally
from network.traffic import Traffic
from node.api import round_nodes
from node.api.round_answers import Local, RoundAnswers
from node.api.round_nodes import RESULTS_TOLD, nodes_of, results_of
from node.api.round_schemas import Round, Rounds
from node.api.routes import ROUTES
from node.localnet.table import row, table_of
from node.progress import Screen
from node.round_history import Measured
from node.round_traffic import RoundTraffic
from node.round_weights import ROUNDS_KEPT, RoundWeights
from node.trainer_messages import Stepped, Validated
from tests.node.lone_node import IDENTITY, named
from tests.node.many_nodes import Cluster, Member
from tests.node.served import ROUNDS, make_past, open_node, serving
from tests.node.test_api_events import listening, until
from training.trust import Trust

NOTHING = Local({}, {}, 1_000)
# Nobody answers audits here, and who owes an opening has no seat.
WITHOUT_AUDITS = {"audit_warmup_rounds": 0, "audit_steady_basis_points": 0, "audit_floor_basis_points": 0}
NEVER_AUDITED = {"audit": None, "audited_rounds": 0, "suspended_round": 0}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes, two of which validate; their first round is in training."""
    found = Cluster(tmp_path, 3, 2, vest_rounds=2, **WITHOUT_AUDITS)
    found.register()
    yield found
    found.close()


def told(member: Member, number: int = 1, local: Local = NOTHING) -> Any:
    """A round as the API answers it, which has the documented form."""
    answer = RoundAnswers().whole(member.store, local, number)
    assert Round().validate(answer) == {}
    return json.loads(json.dumps(answer))


def by_node(answer: Any) -> dict[str, Any]:
    assert [each["node"] for each in answer["nodes"]] == sorted(each["node"] for each in answer["nodes"])
    return {each["node"]: each for each in answer["nodes"]}


def until_phase(cluster: Cluster, phase: int) -> None:
    for _ in range(40):
        if cluster.round.phase == phase:
            return
        cluster.block()
    raise AssertionError(f"round {cluster.round.number} stays in phase {cluster.round.phase}")


def close_round(cluster: Cluster) -> None:
    """All train and the round closes; the next one is in training."""
    cluster.train()
    cluster.blocks_until(RoundClosed)
    cluster.block()


def test_in_training_who_has_proven_and_not_committed_is_waited_for(cluster: Cluster) -> None:
    one, two, three = (member.identity.node.hex() for member in cluster.members)
    cluster.train(cluster.members[0])
    for _ in range(3):
        cluster.block()
    cluster.members[1].driver.add_segment(replace(cluster.members[0].driver.work.segments[0], state_after=named("x")))
    cluster.members[1].claims.speak()
    for _ in range(3):
        cluster.block()
    answer = told(cluster.members[0])
    assert (answer["phase"], answer["committed"], answer["participants"], answer["segments"]) == ("training", 1, 3, 4)
    nodes = by_node(answer)
    first = {"node": one, "segments": 4, "committed": True, "revealed": False, "awaited": False}
    second = {"node": two, "segments": 1, "committed": False, "revealed": False, "awaited": True}
    assert (nodes[one], nodes[two]) == (first | NEVER_AUDITED, second | NEVER_AUDITED)
    assert three not in nodes, "the ledger has heard nothing of it"
    assert answer["awaited"] == 2
    left = cluster.round.deadline_height - cluster.height
    assert (answer["blocks_left"], answer["seconds_left"]) == (left, left)
    assert answer["payloads"] == answer["results"] == [] and answer["total_power_nanos"] is None
    assert (answer["base_round"], answer["outcome"], answer["ended_height"]) == (0, None, None)


def test_what_each_payload_is_held_by_and_each_result_signed_by_is_told_in_shares(cluster: Cluster) -> None:
    cluster.train()
    until_phase(cluster, HOLDING)
    answer = told(cluster.members[0])
    shares = [each["held_basis_points"] for each in answer["payloads"]]
    assert shares in ([0, 0, 0], [5_000] * 3) and answer["voted_basis_points"] == shares[0]
    assert all(each["revealed"] and not each["awaited"] for each in answer["nodes"])
    until_phase(cluster, RESULT)
    answer = told(cluster.members[0])
    assert [each["held_basis_points"] for each in answer["payloads"]] == [10_000] * 3
    assert not any(each["awaited"] for each in answer["nodes"])
    assert (
        answer["voted_basis_points"] in (0, 5_000) and len(answer["results"]) == answer["voted_basis_points"] // 5_000
    )
    cluster.blocks_until(RoundClosed)
    answer = told(cluster.members[0])
    [result] = answer["results"]
    assert (result["share_basis_points"], result["power_nanos"]) == (10_000, answer["total_power_nanos"])
    assert result["outer_root"] == answer["outcome"]["outer_root"]
    assert answer["blocks_left"] is answer["seconds_left"] is None and answer["ended_height"] == cluster.height
    assert [each["steps"] for each in answer["payloads"]] == [4, 4, 4]


def test_who_has_committed_and_not_revealed_is_waited_for(cluster: Cluster) -> None:
    cluster.train()
    until_phase(cluster, REVEALING)
    current = cluster.round
    awaited = {
        each["node"] for each in nodes_of(cluster.state, current, cluster.members[0].network.params) if each["awaited"]
    }
    shown = {payload.node.hex() for payload in current.revealed}
    assert awaited == {node.hex() for node in current.committed} - shown and awaited


def test_losses_are_those_of_the_models_before_and_after_the_round(cluster: Cluster) -> None:
    close_round(cluster)
    close_round(cluster)
    measured = {
        number: Measured(number, value, None, 10 * number, 0) for number, value in [(0, 5.5), (1, 5.25), (2, 5.375)]
    }
    answer = told(cluster.members[0], 2, Local(measured, {}, 1_000))
    assert (answer["base_round"], answer["loss_before"], answer["validation_loss"]) == (1, 5.25, 5.375)
    assert (answer["loss_change"], answer["tokens"]) == (0.125, 20)
    first = told(cluster.members[0], 1, Local(measured, {}, 1_000))
    assert (first["base_round"], first["loss_before"], first["loss_change"]) == (0, 5.5, -0.25)
    del measured[1]
    unknown = told(cluster.members[0], 2, Local(measured, {}, 1_000))
    assert (unknown["loss_before"], unknown["loss_change"], unknown["validation_loss"]) == (None, None, 5.375)


def test_weights_are_told_where_this_node_knows_them_and_null_elsewhere(cluster: Cluster) -> None:
    close_round(cluster)
    known, stranger = cluster.members[0].identity.node, named("stranger")
    records = {node: Trust(node, -3, 1, 0, 250_000) for node in (known, stranger)}
    answer = told(cluster.members[0], 1, Local({}, {1: records}, 1_000))
    weights = {each["node"]: (each["weight_ppm"], each["score"]) for each in answer["payloads"]}
    assert weights.pop(known.hex()) == (250_000, -3)
    assert set(weights.values()) == {(None, None)} and len(weights) == 2
    assert {each["weight_ppm"] for each in told(cluster.members[0])["payloads"]} == {None}


def test_a_round_whose_records_left_the_state_is_told_from_its_blocks(cluster: Cluster) -> None:
    rounds = RoundAnswers()
    store = cluster.members[0].store
    while cluster.state.round(1) is not None:
        close_round(cluster)
        if cluster.state.round(1) is not None:
            before = rounds.whole(store, NOTHING, 1)
    records = {cluster.members[1].identity.node: Trust(cluster.members[1].identity.node, 7, 1, 0, 1_000_000)}
    after = rounds.whole(store, Local({1: Measured(1, 4.0, None, 9, 0)}, {1: records}, 1_000), 1)
    assert Round().validate(after) == {}
    same = ("round", "phase", "ended_height", "base_round", "base_outer_root", "segments", "outcome")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    unknown = dict.fromkeys(NEVER_AUDITED)
    assert before["phase"] == "closed" and [each | unknown for each in before["nodes"]] == after["nodes"]
    assert after["participants"] is after["committed"] is after["total_power_nanos"] is None
    assert (after["results"], after["validation_loss"]) == ([], 4.0)
    assert [each["weight_ppm"] for each in after["payloads"]].count(1_000_000) == 1
    assert {each["held_basis_points"] for each in after["payloads"]} == {None}
    page = rounds.page(store, NOTHING, 100, None)
    assert Rounds().validate(page) == {} and page["rounds"][-1]["round"] == 1


def test_who_committed_in_the_round_before_and_is_silent_now_is_named_as_awaited(cluster: Cluster) -> None:
    close_round(cluster)
    silent = cluster.members[2].identity.node.hex()
    cluster.train(*cluster.members[:2])
    for _ in range(3):
        cluster.block()
    answer = told(cluster.members[0], 2)
    assert (answer["phase"], answer["committed"], answer["awaited"]) == ("training", 2, 1)
    expected = {"node": silent, "segments": 0, "committed": False, "revealed": False, "awaited": True} | NEVER_AUDITED
    assert by_node(answer)[silent] == expected and len(answer["nodes"]) == 3


def test_as_many_nodes_and_results_are_told_as_fit_and_those_that_count_first(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers may prove a segment each, and validators sign a result of their own each."""
    cluster.train()
    until_phase(cluster, RESULT)
    current = cluster.round
    outcomes = tuple(replace(current.base, trust_root=named(str(power))) for power in range(1, 20))
    tallies = tuple(Tally(outcome.outer_root, power) for power, outcome in enumerate(outcomes, 1))
    poll = replace(current.result, tallies=tallies)
    results = results_of(cluster.state, replace(current, result=poll, outcomes=outcomes))
    assert [each["power_nanos"] for each in results] == [str(19 - place) for place in range(RESULTS_TOLD)]
    assert len(nodes_of(cluster.state, current, cluster.members[0].network.params)) == 3
    monkeypatch.setattr(round_nodes, "NODES_TOLD", 1)
    one = replace(current, committed=current.committed[2:])
    nodes = nodes_of(cluster.state, one, cluster.members[0].network.params)
    assert len(nodes) == 2 and current.committed[2].hex() in {each["node"] for each in nodes}


def test_weights_are_kept_of_the_newest_rounds_only(tmp_path: Path) -> None:
    class Models:
        """Stands where the outer steps are computed: the model after some round."""

        model_round = 0
        model: Any = None

    models = Models()
    weights = RoundWeights(models)  # type: ignore[arg-type]
    weights.hear_block(None)  # type: ignore[arg-type]
    assert weights.known == {}, "there is no model yet"

    class State:
        trust = (Trust(named("a"), 1, 1, 0, 1_000_000),)

    models.model = State
    for number in range(ROUNDS_KEPT + 5):
        models.model_round = number
        weights.hear_block(None)  # type: ignore[arg-type]
    assert sorted(weights.known) == list(range(5, ROUNDS_KEPT + 5))
    assert weights.known[5] == {named("a"): State.trust[0]}


def test_bytes_are_those_between_the_opening_of_a_round_and_of_the_next(cluster: Cluster) -> None:
    total = Traffic(1_000, 2_000)
    traffic = RoundTraffic(lambda: replace(total))
    assert traffic.known == {}
    for sent in (10, 25):
        cluster.train()
        for _ in range(10):
            applied = cluster.block()
            traffic.hear_block(applied)
            if any(isinstance(receipt, RoundOpened) for receipt in applied.receipts):
                break
        total.sent += sent
        total.received += 2 * sent
        cluster.block()
    # The first round was open before anybody listened.
    assert traffic.known == {2: Traffic(10, 20), 3: Traffic(25, 50)}
    total.sent += 5
    assert traffic.known[3] == Traffic(30, 50) and traffic.known[2] == Traffic(10, 20)
    answer = told(cluster.members[0], 2, Local({}, {}, 1_000, traffic.known))
    assert (answer["bytes_sent"], answer["bytes_received"]) == (10, 20)
    first = told(cluster.members[0], 1, Local({}, {}, 1_000, traffic.known))
    assert first["bytes_sent"] is first["bytes_received"] is None


# ---- Over the real server


async def test_the_status_tells_the_newest_round_and_its_line(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        status = await served.get("/v1/status")
        round_now = await served.get(f"/v1/rounds/{status['round']}")
        assert status["round_line"].startswith(f"round {ROUNDS + 2} training · closes in ≤ ")
        assert status["round_line"].endswith(f"loss 3.625 → 3.500 · round {ROUNDS + 1} was void")
        assert (
            status["round_blocks_left"]
            == round_now["blocks_left"]
            == status["round_deadline_height"] - (status["height"])
        )
        assert (status["round_participants"], status["round_committed"]) == (1, 0)
        assert (status["previous_validation_loss"], status["validation_loss"]) == (3.625, 3.5)
        [node] = round_now["nodes"]
        assert node == {
            "node": IDENTITY.node.hex(), "segments": 2, "committed": False, "revealed": False, "awaited": True,
            **NEVER_AUDITED,
        }  # fmt: skip


async def test_the_screen_begins_with_the_line_and_draws_any_phase(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        console = Console(width=100, file=io.StringIO(), force_terminal=False)
        screen = Screen(served.node, console)
        console.print(screen.picture())
        now = served.node.facts.round
        assert now is not None
        for phase in ROUND_PHASES[1:]:
            crowd = replace(now, phase=phase, participants=5, awaited=2, committed=3, revealed=3, held=2)
            served.node.facts = replace(served.node.facts, round=crowd, round_phase=phase)
            console.print(screen.picture())
        drawn = console.file.getvalue()  # type: ignore[attr-defined]
        assert f"round {ROUNDS + 2} training · closes in ≤ " in drawn
        assert "3 of 5 committed" in drawn and "revealing payloads" in drawn and "payloads held" in drawn


def test_a_local_network_is_shown_with_the_line_of_its_first_node_and_words_of_dead_ones_as_text() -> None:
    place = SimpleNamespace(listen="127.0.0.1:1", api="127.0.0.1:2")
    status = {"round": 7, "step": 3, "steps": 4, "validation_loss": 4.5, "round_line": "round 7 training 3/4 steps"}

    def member(number: int, runs: bool) -> Any:
        end = "" if runs else "ended with status 1: [bold red]not markup[/]"
        known: dict[str, Any] = {"runs": runs, "end": end, "status": status if runs else {}, "answers": runs}
        return SimpleNamespace(
            number=number,
            process=SimpleNamespace(pid=1),
            place=place,
            block={},
            memory_bytes=0,
            cpu_percent=0.0,
            **known,
        )

    members = [member(0, False), member(1, True)]
    console = Console(width=140, file=io.StringIO())
    console.print(table_of(members, "abc"))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert "round 7 training 3/4 steps" in drawn
    assert "[bold red]not markup[/]" in drawn and "3/4" in drawn and "4.500" in drawn
    assert row(members[0])["validation_loss"] is None


async def test_a_phase_is_told_with_its_numbers_once(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served, listening(served) as stream:
        async with served.blocks():
            seen = await until(stream, "round_void", "round_phase")
        phase = seen["round_phase"]
        assert phase["blocks_left"] == phase["deadline_height"] - phase["height"]
        assert set(phase) == {
            *("round", "phase", "height", "deadline_height", "blocks_left", "seconds_left", "participants"),
            *("awaited", "committed", "revealed", "held"),
        }


async def test_steps_of_an_earlier_round_are_not_told_as_this_ones(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        live = served.node.live
        live.round, live.step = ROUNDS + 1, 3
        assert (await served.get("/v1/status"))["step"] == 0
        live.round = ROUNDS + 2
        assert (await served.get("/v1/status"))["step"] == 3
        live.step = 99
        assert (await served.get("/v1/status"))["step"] == 4


async def test_a_broken_model_whose_loss_is_no_number_is_told_as_json(tmp_path: Path) -> None:
    """Whoever makes the model diverge must not make the API unreadable."""
    async with serving(tmp_path / "home") as served, listening(served) as stream:
        await until(stream, "status")
        served.node.history.entries.append(Measured(ROUNDS + 2, float("nan"), None, 1, 1))
        served.node.live.training_loss = served.node.live.bigram_loss = float("inf")
        for route in ROUTES:
            if route.path in ("/v1/status", "/v1/rounds/{round}", "/v1/rounds", "/v1/losses"):
                body = (await served.ask(route.path.format(round=ROUNDS + 2))).body
                assert route.answer is not None and route.answer().validate(strictly(body)) == {}
        assert (await served.get("/v1/status"))["round_line"].count("loss 3.500 → nan") == 1
        served.node._on_trainer(Stepped(ROUNDS + 2, 1, float("nan"), 1.0))
        served.node._on_trainer(Validated(ROUNDS + 3, float("nan")))
        seen = await until(stream, "progress", "validated")
        assert seen["progress"]["training_loss"] is seen["validated"]["validation_loss"] is None


def strictly(body: bytes) -> Any:
    """JSON as every other language reads it: without NaN and Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in {body!r}")

    return json.loads(body, parse_constant=refuse)


def test_the_weights_of_a_node_begin_with_the_model_that_it_restores(tmp_path: Path) -> None:
    network = make_past(tmp_path / "home")
    node = open_node(tmp_path / "home", network)
    asyncio.run(asyncio.to_thread(node.outcomes.restore, node.store.state()))
    node.weights.hear_block(None)  # type: ignore[arg-type]
    assert list(node.weights.known) == [node.outcomes.model_round]
    asyncio.run(node.close())
