"""Payloads of rounds that are long over go, and no others; what is left says plainly what it lacks."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.archive import PayloadsNotKept, Replay
from node.archive_prune import remove_payload
from node.errors import StoreError
from node.jobs import Jobs
from node.past_rounds import payloads_of
from node.payload_prune import ROUNDS_A_RUN, last_spent, prune_payloads, reveals_of
from node.settings import SettingsError, in_effect, settings_of
from node.store import Store, number
from tests.node.archive_homes import grows, refused, run, stopped_home, told
from tests.node.lone_node import LoneNode, with_rounds
from tests.node.served import PATIENCE_SECONDS, make_past, open_node

CLOSED = 8


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    """Eight closed rounds, of which all but the last few are released; not to be changed."""
    return with_rounds(tmp_path_factory.mktemp("payloads") / "node", CLOSED)


@pytest.fixture
def node(lived: LoneNode, tmp_path: Path) -> LoneNode:
    return lived.copied(tmp_path / "node")


def roots(node: LoneNode, *rounds: int) -> set[bytes]:
    return {reveal.payload_root for each in rounds for reveal in reveals_of(node.store, each)}


def here(node: LoneNode) -> set[bytes]:
    return {bytes.fromhex(path.name) for path in node.payloads.folder.iterdir()}


def pruned(node: LoneNode, keep: int) -> int:
    return prune_payloads(node.store, node.payloads, last_spent(node.state, node.outcomes.models, keep)).height


# ---- What goes and what stays


@pytest.mark.parametrize("keep", [1, 2, 5, CLOSED - 1, CLOSED, CLOSED + 1, 2**40])
def test_payloads_of_the_last_rounds_stay_and_of_those_that_are_not_released(node: LoneNode, keep: int) -> None:
    ledger = node.state.ledger
    assert (ledger.ended_round, ledger.released_round) == (CLOSED, CLOSED - 1)
    gone = max(0, min(CLOSED - 1, CLOSED - keep))
    assert pruned(node, keep) == gone
    assert here(node) == roots(node, *range(gone + 1, CLOSED + 1)) and len(here(node)) == CLOSED - gone


def test_unreleased_rounds_keep_theirs_however_few_are_wanted(tmp_path: Path) -> None:
    node = with_rounds(tmp_path / "node", 5, vest_rounds=3)
    assert node.state.ledger.released_round == 2 and pruned(node, 1) == 2
    assert here(node) == roots(node, 3, 4, 5)


def test_payloads_that_lead_to_a_model_that_is_not_here_yet_stay(node: LoneNode) -> None:
    for path in node.outcomes.models.files():
        path.unlink()
    assert last_spent(node.state, node.outcomes.models, 1) == 0
    (node.folder / "model" / "outer-3.safetensors").write_bytes(b"")
    assert last_spent(node.state, node.outcomes.models, 1) == 3


def test_a_payload_that_a_later_round_names_too_stays(node: LoneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    [copied] = roots(node, 2)
    monkeypatch.setattr("node.payload_prune.needed_roots", lambda state: {copied})
    pruned(node, 1)
    assert here(node) == {copied} | roots(node, CLOSED)


def test_the_next_run_goes_on_where_the_last_one_ended_and_none_takes_too_long(node: LoneNode, monkeypatch) -> None:
    monkeypatch.setattr("node.payload_prune.ROUNDS_A_RUN", 3)
    assert ROUNDS_A_RUN > 3
    looked: list[int] = []
    monkeypatch.setattr(
        "node.payload_prune.reveals_of", lambda store, each: looked.append(each) or reveals_of(store, each)
    )
    assert [pruned(node, 1) for _ in range(4)] == [3, 6, 7, 7]
    assert looked == [1, 2, 3, 4, 5, 6, 7] and node.store.pruned_payloads() == (7, 7)


def test_rounds_whose_blocks_are_not_kept_are_passed_over(node: LoneNode) -> None:
    node.database.write({b"o" + number(2): None, b"b" + number(node.store.height_of_round(4) or 0): None})
    assert pruned(node, 1) == CLOSED - 1


# ---- Ended in the middle


class Ended(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("moment", range(10))
def test_wherever_a_run_ends_the_next_one_ends_it(node: LoneNode, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Nothing is missing that is not noted, and nothing that is noted stays."""
    left = moment

    def strike(work: Callable[..., Any]) -> Callable[..., Any]:
        def struck(*arguments: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Ended
            left -= 1
            return work(*arguments)

        return struck

    with monkeypatch.context() as patch:
        patch.setattr("node.payload_prune.remove_payload", strike(remove_payload))
        patch.setattr(Store, "note_pruned_payloads", strike(Store.note_pruned_payloads))
        try:
            pruned(node, 1)
        except Ended:
            maybe, surely = node.store.pruned_payloads()
            missing = roots(node, *range(1, CLOSED + 1)) - here(node)
            assert missing <= roots(node, *range(1, maybe + 1)) and not here(node) & roots(node, *range(1, surely + 1))
    again = node.reopened()
    assert pruned(again, 2) in (CLOSED - 1, CLOSED - 2)  # What was noted for fewer is ended too.
    assert here(again) == roots(again, *range(again.store.pruned_payloads()[1] + 1, CLOSED + 1))


def test_a_payload_that_cannot_be_removed_is_told_in_words(node: LoneNode) -> None:
    [root] = roots(node, 1)
    node.payloads.path(root).unlink()
    node.payloads.path(root).mkdir()
    with pytest.raises(StoreError, match="cannot remove the payload"):
        pruned(node, 1)


# ---- Verify and replay afterwards


def test_a_pruned_node_goes_on_and_verifies_all_but_the_weights(node: LoneNode, tmp_path: Path) -> None:
    assert pruned(node, 2) == CLOSED - 2
    node.driver.follow(node.state, node.view.tip.height)
    node.close_round()
    home = stopped_home(node, tmp_path / "home")
    found = told("verify", home=home)
    assert found["ok"] and not found["weights_rebuilt"] and found["rounds_closed"] == CLOSED + 1
    assert (found["payloads_missing"], found["first_missing_round"], found["payloads"]) == (CLOSED - 2, 1, 0)
    words = run("verify", home=home).stdout
    assert "The weights were not made again: 6 payloads are not kept here, the first of round 1" in words
    assert "neuroshard archive fetch" in words and words.endswith("OK\n")


def test_where_weights_are_demanded_it_says_what_is_missing(node: LoneNode, tmp_path: Path) -> None:
    pruned(node, 2)
    home = stopped_home(node, tmp_path / "home")
    wanted = "of round 1 1 payloads are missing, since this node keeps those of rounds from 7 on only"
    assert wanted in refused("verify", "--weights", home=home)
    assert wanted in refused("replay", "--to", str(node.store.height), home=home)
    assert told("replay", "--to", "1", home=home)["rounds_closed"] == 0


def test_a_whole_node_makes_the_weights_again(node: LoneNode, tmp_path: Path) -> None:
    found = told("verify", "--weights", home=stopped_home(node, tmp_path / "home"))
    assert found["weights_rebuilt"] and (found["payloads"], found["payloads_missing"]) == (CLOSED, 0)


def test_a_payload_that_was_lost_and_not_pruned_is_named_with_its_round(node: LoneNode) -> None:
    [lost] = roots(node, 5)
    node.payloads.path(lost).unlink()
    with pytest.raises(PayloadsNotKept, match="of round 5 1 payloads are missing"):
        Replay(node.database, node.network, node.payloads).run()


def test_a_damaged_payload_is_found_even_where_others_may_be_missing(node: LoneNode, tmp_path: Path) -> None:
    [root] = roots(node, 1)
    node.payloads.path(root).write_bytes(b"damaged")
    assert "is damaged" in refused("verify", home=stopped_home(node, tmp_path / "home"))


def test_without_payloads_the_models_file_must_be_there(node: LoneNode, tmp_path: Path) -> None:
    pruned(node, 2)
    home = stopped_home(node, tmp_path / "home")
    for path in (home / "model").iterdir():
        path.unlink()
    assert "it cannot be made again" in refused("verify", home=home)


# ---- A running node


async def test_a_running_node_forgets_them_when_a_round_has_ended_and_an_archive_does_not(tmp_path: Path) -> None:
    network = await asyncio.to_thread(make_past, tmp_path, 8)
    (tmp_path / "network").write_bytes(network.file_bytes())
    running = open_node(tmp_path, network)
    running.settings = replace(running.settings, archive=True)
    assert Jobs(running).scheduler.get_job("prune_payloads") is None
    running.settings = replace(running.settings, archive=False, keep_payloads=4)
    assert len(payloads_of(running.store, running.store.state(), 1)) == 1
    jobs = Jobs(running)
    growing = asyncio.create_task(grows(running, 12))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not running.store.pruned_payloads()[1]:
            await jobs.prune_payloads()
            await asyncio.sleep(0.01)
    await growing
    assert not running.payloads.has(payloads_of(running.store, running.store.state(), 1)[0].payload_root)
    await running.close()
    assert (await asyncio.to_thread(told, "verify", home=tmp_path))["payloads_missing"] > 0


@pytest.mark.parametrize("other", [{"keep_epochs": 3}, {"sync": "snapshot"}])
def test_an_archive_that_is_to_forget_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    flags = {"data_dir": tmp_path, "archive": True}
    assert settings_of(in_effect(flags, {}, lambda path: {})).archive
    with pytest.raises(SettingsError, match="give one of them"):
        settings_of(in_effect({**flags, **other}, {}, lambda path: {}))
