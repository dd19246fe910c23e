"""What the doctor finds: every check on both sides, with the real condition wherever a test can bring it about."""

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from node import clock as node_clock
from node.cli import cli
from node.data_directory import DataDirectory
from node.doctor import directory, machine, packages, ports
from node.doctor.checks import CHECKS, examine, exit_status, words
from node.doctor.finding import OK, PROBLEM, WARNING, Finding, Place, ok, problem, warning
from node.key_value import open_key_value
from node.memory import expected_need
from node.schema import SCHEMA
from node.store import BEFORE_RECEIPTS, SCHEMA_KEY
from node.template import Learning
from tests.node.lone_node import tiny_network, with_rounds
from tests.torch_absence import need_torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A data directory as a first start leaves it."""
    home = DataDirectory(tmp_path / "home")
    home.create()
    home.root.chmod(0o700)
    return Place(home.root)


def verdict(finding: Finding) -> str:
    """The verdict of a finding that says something, and what to do unless all is well."""
    assert finding.sentence.endswith(".") and bool(finding.advice) == (finding.verdict != OK)
    return finding.verdict


# ---- Program and packages


def test_this_python_serves_and_another_does_not(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(packages.python_version(place)) == OK
    monkeypatch.setattr(packages, "PYTHONS", ((3, 99),))
    assert verdict(packages.python_version(place)) == PROBLEM


def test_the_packages_of_this_environment_are_there(place: Place) -> None:
    need_torch()
    finding = packages.packages(place)
    assert verdict(finding) == OK and f"torch {packages.version_of('torch')}" in finding.sentence


def test_every_package_that_a_node_asks_for_is_checked() -> None:
    wanted = {
        re.split(r"[<> ]", line)[0]
        for name in ("run.in", "nodeps.in")
        for line in (ROOT / "requirements" / name).read_text().splitlines()
    }
    checked = {*packages.IMPORTED, *packages.FOUND_ONLY, *packages.FAST, "plyvel", "lmdb"}
    assert wanted - checked == {"editables", "hatchling"}  # Both serve the installation only.


def test_a_package_that_is_missing_broken_or_of_another_version_is_named(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    need_torch()
    with monkeypatch.context() as patch:
        patch.setitem(packages.IMPORTED, "no-such-package", "no_such_package")
        finding = packages.packages(place)
        assert verdict(finding) == PROBLEM and "Not installed: no-such-package" in finding.sentence
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "run.txt").write_text(
        "click==0.1 \\\n    --hash=sha256:00\naiohttp==1 ; x == 'y' \\\n"
    )
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    monkeypatch.setattr(packages, "IMPORTED", {"click": "click"})
    finding = packages.packages(place)
    assert verdict(finding) == WARNING and "(locked 0.1)" in finding.sentence and "(locked 1)" in finding.sentence


def test_a_library_that_raises_or_kills_its_interpreter_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sound_one.py").write_text("")
    (tmp_path / "broken_one.py").write_text("raise OSError('libx.so is missing')")
    (tmp_path / "deadly_one.py").write_text("import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert packages.import_faults(["sound_one"]) == {}
    found = packages.import_faults(["sound_one", "broken_one", "deadly_one"])
    assert found["broken_one"] == "OSError: libx.so is missing" and "status -6" in found["deadly_one"]
    assert "sound_one" not in found


def test_a_stranger_in_the_place_of_one_of_our_packages_is_a_problem(place: Place, tmp_path: Path) -> None:
    assert verdict(packages.name_clashes(place)) == OK
    (tmp_path / "other" / "wallet").mkdir(parents=True)
    (tmp_path / "other" / "wallet" / "__init__.py").write_text("")
    program = (
        "from pathlib import Path; from node.doctor import packages; from node.doctor.finding import Place\n"
        "found = packages.name_clashes(Place(Path('/')))\nprint(found.verdict, found.sentence)"
    )
    path = f"{tmp_path / 'other'}{os.pathsep}{ROOT}"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith(f"problem The package 'wallet' comes from {tmp_path}")


def test_another_distribution_with_one_of_our_names_is_named_and_we_are_not() -> None:
    assert packages.strangers({"node": ["neuroshard_node"], "click": ["click"]}) == []
    assert packages.strangers({"node": ["neuroshard-node", "nodes"], "wallet": ["wallet"]}) == [
        "node (nodes)",
        "wallet (wallet)",
    ]


def test_one_database_is_needed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(packages.databases(place)) == OK
    monkeypatch.setattr(packages, "import_faults", lambda _: {"plyvel": "gone"})
    assert "LMDB" in packages.databases(place).sentence
    monkeypatch.setattr(packages, "import_faults", lambda _: {"plyvel": "gone", "lmdb": "gone"})
    assert verdict(packages.databases(place)) == PROBLEM


def test_a_slow_stand_in_is_told_with_its_cost(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(packages.fast_packages(place)) == OK
    monkeypatch.setattr(packages, "import_faults", lambda _: {"pyblst": "gone"})
    finding = packages.fast_packages(place)
    assert verdict(finding) == WARNING and "about 1 s" in finding.sentence and "coincurve" not in finding.sentence


def test_a_graphics_card_that_was_asked_for_must_be_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    finding = packages.graphics_card(replace(place, device="cuda"))
    assert verdict(finding) == PROBLEM and "--device auto" in finding.advice


@pytest.mark.parametrize(
    ("program", "expected"),
    [("""echo '[true, "Training on the CPU, as asked."]'""", OK), ("echo libtorch.so is missing >&2; exit 1", PROBLEM)],
)
def test_torch_is_asked_in_a_process_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, expected: str
) -> None:
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o700)
    monkeypatch.setattr(packages.sys, "executable", str(script))
    assert packages.graphics_card(place).verdict == expected


def test_without_any_package_the_doctor_still_answers(tmp_path: Path) -> None:
    # The interpreter below the environment, -S without site-packages, -I without any other way in.
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = [{str(tmp_path / 'new')!r}]\n"
    program += "from node.doctor.__main__ import main; main()"
    command = [str(Path(sys.executable).resolve()), "-I", "-S", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == ""
    assert "Not installed: aiohttp" in done.stdout and "psutil is missing" in done.stdout
    assert all(name in done.stdout for name, _ in CHECKS)


# ---- The data directory


def test_room_on_the_disk_is_judged_at_its_bounds(place: Place) -> None:
    assert "GiB of the disk are free" in directory.disk_room(place).sentence
    judged = [directory.judged_room(free) for free in (directory.FREE_PROBLEM - 1, directory.FREE_PROBLEM)]
    judged += [directory.judged_room(free) for free in (directory.FREE_WARNING - 1, directory.FREE_WARNING)]
    assert [verdict(each) for each in judged] == [PROBLEM, WARNING, WARNING, OK]


def test_the_disk_is_written_and_synced_without_leaving_anything(place: Place) -> None:
    before = sorted(place.directory.iterdir())
    finding = directory.disk_speed(place)
    assert "MiB/s" in finding.sentence and sorted(place.directory.iterdir()) == before
    assert verdict(directory.judged_speed(1.0, directory.SYNC_WARNING_S)) == OK
    assert verdict(directory.judged_speed(1.0, directory.SYNC_WARNING_S * 1.01)) == WARNING


def test_a_disk_that_cannot_be_written_is_a_problem() -> None:
    finding = directory.disk_speed(Place(Path("/proc/self")))
    assert verdict(finding) == PROBLEM and "cannot be written" in finding.sentence


def test_secrets_that_others_may_read_are_told(place: Place) -> None:
    assert verdict(directory.permissions(place)) == OK
    keystore = place.directory / "keystore.json"
    keystore.touch(0o600)
    assert verdict(directory.permissions(place)) == OK
    keystore.chmod(0o640)
    finding = directory.permissions(place)
    assert verdict(finding) == WARNING and finding.advice == f"chmod go-rwx {keystore}"
    keystore.chmod(0o600)
    place.directory.chmod(0o701)
    assert verdict(directory.permissions(place)) == WARNING


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_directory_of_somebody_else_is_told(place: Place) -> None:
    os.chown(place.directory, 12345, -1)
    assert "belongs to user 12345" in directory.permissions(place).sentence


def test_a_directory_that_does_not_exist_yet_is_no_fault(tmp_path: Path) -> None:
    new = Place(tmp_path / "not" / "yet")
    for check in (directory.permissions, directory.layout, directory.running_node, directory.times):
        assert verdict(check(new)) == OK
    assert new.nearest == tmp_path and not (tmp_path / "not").exists()


def test_a_file_in_the_place_of_the_directory_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    assert verdict(directory.permissions(Place(tmp_path / "home"))) == PROBLEM
    assert verdict(directory.permissions(Place(tmp_path / "home" / "below" / "it"))) == PROBLEM


def test_the_layout_is_ours_or_empty(place: Place, tmp_path: Path) -> None:
    assert verdict(directory.layout(place)) == OK
    (place.directory / "schema").write_text(f"{SCHEMA}9")
    assert verdict(directory.layout(place)) == PROBLEM
    (place.directory / "schema").write_text(f"{SCHEMA - 1}")
    assert "brings it up" in directory.layout(place).sentence and verdict(directory.layout(place)) == OK
    (place.directory / "schema").write_text("another")
    assert verdict(directory.layout(place)) == PROBLEM
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "neuroshard.toml").touch()
    assert verdict(directory.layout(Place(foreign))) == OK
    (foreign / "thesis.txt").touch()
    finding = directory.layout(Place(foreign))
    assert verdict(finding) == PROBLEM and "thesis.txt" in finding.sentence


def test_a_network_that_this_program_cannot_run_is_a_problem(place: Place) -> None:
    network = tiny_network()
    (place.directory / "network").write_bytes(network.file_bytes())
    assert verdict(directory.layout(place)) == OK
    old = replace(network, parameters=tuple(p for p in network.parameters if p.name != b"chain.jail_epochs"))
    (place.directory / "network").write_bytes(old.file_bytes())
    finding = directory.layout(place)
    assert verdict(finding) == PROBLEM and "made by an earlier version with other rules" in finding.sentence
    assert finding.advice == "start anew with another --data-dir, or use the version that made it"
    (place.directory / "network").write_bytes(b"no network")
    assert verdict(directory.layout(place)) == PROBLEM and "damaged" in directory.layout(place).sentence


def test_a_running_node_is_found_by_its_lock_and_not_disturbed(place: Place) -> None:
    assert directory.running_node(place).sentence == "No node is running here."
    home = DataDirectory(place.directory)
    home.lock()
    (place.directory / "api.json").write_text('{"address": "127.0.0.1:1", "pid": 77}')
    assert "process 77, 127.0.0.1:1" in directory.running_node(place).sentence
    home.unlock()
    assert not directory.is_running(place.directory)
    # And looking has left the lock free.
    with (place.directory / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_clock_is_compared_with_files_and_the_last_block(place: Place) -> None:
    assert verdict(directory.times(place)) == OK
    ahead = time.time() + 3600
    os.utime(place.directory / "schema", (ahead, ahead))
    finding = directory.times(place)
    assert verdict(finding) == WARNING and str(place.directory / "schema") in finding.sentence
    now, late = 1000.0, 1000.0 + directory.AHEAD_S
    assert verdict(directory.judged_times(now, (late, "f"), late, "")) == OK
    assert verdict(directory.judged_times(now, (late + 0.1, "f"), None, "unknown")) == WARNING
    assert "last block" in directory.judged_times(now, (0, "f"), late + 0.1, "").sentence


def test_the_time_of_the_last_block_is_read_from_the_ledger(place: Place) -> None:
    network = tiny_network()
    (place.directory / "network").write_bytes(network.file_bytes())
    assert directory.last_block_time(place) == (None, "there is no block yet")
    database = open_key_value(place.directory / "ledger")
    node = with_rounds(place.directory, 0, database)
    time_ms = node.view.tip.time_ms
    held, why = directory.last_block_time(place)
    assert held is None and "was not read" in why  # open elsewhere
    database.close()
    assert directory.last_block_time(place) == (time_ms / 1000, "")


def test_a_ledger_of_an_older_program_is_not_brought_up_to_date_by_a_check(place: Place) -> None:
    database = open_key_value(place.directory / "ledger")
    with_rounds(place.directory / "node", 1, database)
    database.write({SCHEMA_KEY: BEFORE_RECEIPTS})
    (place.directory / "network").write_bytes(tiny_network().file_bytes())
    before = dict(database.items(b""))
    database.close()
    assert directory.last_block_time(place) == (None, "the next start brings the ledger up to date")
    database = open_key_value(place.directory / "ledger")
    assert dict(database.items(b"")) == before
    database.close()


def test_a_ledger_that_cannot_be_opened_is_a_problem_with_what_to_do(place: Place) -> None:
    assert verdict(directory.ledger(place)) == OK
    database = open_key_value(place.directory / "ledger")
    with_rounds(place.directory / "node", 0, database)
    (place.directory / "network").write_bytes(tiny_network().file_bytes())
    database.close()
    assert directory.ledger(place).sentence == "The ledger can be opened."
    database = open_key_value(place.directory / "ledger")
    database.write({SCHEMA_KEY: b"99"})
    database.close()
    finding = directory.ledger(place)
    assert verdict(finding) == PROBLEM and finding.advice == "use the program that wrote it"
    (place.directory / "ledger" / "CURRENT").write_bytes(b"nothing")
    assert verdict(directory.ledger(place)) == PROBLEM and "backup" in directory.ledger(place).advice
    home = DataDirectory(place.directory)
    home.lock()
    assert verdict(directory.ledger(place)) == OK
    home.unlock()


def test_a_wallet_that_was_made_before_the_node_is_no_foreign_directory(tmp_path: Path) -> None:
    for name in ("keystore.json", "wallet.json", "wallet-history", "wallet.lock", "wallet.json.partial"):
        (tmp_path / name).touch()
    assert verdict(directory.layout(Place(tmp_path))) == OK


# ---- The machine


def test_memory_is_compared_with_what_a_node_needs(place: Place) -> None:
    need = machine.need_of(place)
    assert need == machine.USUAL_NEED
    assert verdict(machine.memory(replace(place, memory=need))) == verdict(machine.memory(place))
    assert verdict(machine.memory(replace(place, memory=need - 1))) == PROBLEM
    (place.directory / "network").write_bytes(tiny_network().file_bytes())
    assert machine.need_of(place) == expected_need(Learning.of(tiny_network())) < need


def test_more_load_than_cores_is_told(place: Place) -> None:
    assert "cores" in machine.cores(place).sentence
    assert (verdict(machine.judged_load(2, 2.0)), verdict(machine.judged_load(2, 2.1))) == (OK, WARNING)


@pytest.mark.parametrize(
    ("now", "drift", "expected"),
    [
        (-1.0, 0.0, PROBLEM),
        (node_clock.EARLIEST_S - 1, 0.0, PROBLEM),
        (node_clock.EARLIEST_S, 0.0, WARNING),
        (machine.RELEASED_S - 1, 0.0, WARNING),
        (machine.RELEASED_S, 0.0, OK),
        (machine.RELEASED_S, machine.STEP_SECONDS, OK),
        (machine.RELEASED_S, -machine.STEP_SECONDS * 1.01, WARNING),
        (node_clock.LATEST_S - 1, 0.0, OK),
        (node_clock.LATEST_S, 0.0, PROBLEM),
        (1e30, 0.0, PROBLEM),
    ],
)
def test_a_clock_is_possible_later_than_the_program_and_not_being_moved(
    now: float, drift: float, expected: str
) -> None:
    assert verdict(machine.judged_clock(now, drift)) == expected


def test_the_clock_of_this_machine_is_looked_at(place: Place) -> None:
    assert machine.clock(place).sentence.startswith("The clock says 20")


def test_what_keeps_the_clock_is_told_if_it_is_known(place: Place) -> None:
    assert machine.clock_kept(place) in [machine.judged_keeping(each) for each in (True, False, None)]
    assert [verdict(machine.judged_keeping(each)) for each in (True, None, False)] == [OK, OK, WARNING]
    assert "unknown" in machine.judged_keeping(None).sentence


def test_without_kernel_or_timedatectl_the_clocks_keeping_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert machine.timedatectl_says() is None
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    assert machine.kernel_says() is None


# ---- Ports


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_port_is_free_ours_or_somebody_elses(place: Place, taken: str) -> None:
    assert verdict(ports.api_port(replace(place, api="127.0.0.1:0"))) == OK
    asked = replace(place, api=taken)
    assert verdict(ports.api_port(asked)) == PROBLEM
    (place.directory / "api.json").write_text(json.dumps({"address": taken, "pid": 1}))
    assert verdict(ports.api_port(asked)) == PROBLEM  # A note of a node that was killed.
    home = DataDirectory(place.directory)
    home.lock()
    assert "The node that runs here serves" in ports.api_port(asked).sentence
    home.unlock()


def test_the_usual_port_may_be_taken_as_long_as_another_is_free(
    place: Place, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "DEFAULT_API", taken)
    free = taken.replace("127.0.0.1", "127.0.0.2")
    assert ports.why_taken(taken) == "another program listens there" and ports.why_taken(free) is None
    monkeypatch.setattr(ports, "API_PORTS_TRIED", 1)
    assert verdict(ports.api_port(place)) == PROBLEM
    monkeypatch.setattr(ports, "why_taken", lambda address: "taken" if address == taken else None)
    monkeypatch.setattr(ports, "API_PORTS_TRIED", 2)
    assert verdict(ports.api_port(place)) == WARNING


def test_a_host_that_does_not_exist_is_a_problem(place: Place) -> None:
    assert verdict(ports.api_port(replace(place, api="203.0.113.1:80"))) == PROBLEM


# ---- Together


def test_only_a_problem_changes_the_status() -> None:
    assert exit_status([ok("a."), warning("b.", "c")]) == 0
    assert exit_status([ok("a."), problem("b.", "c"), ok("d.")]) == 1


def test_a_finding_says_what_to_do() -> None:
    assert words("disk", warning("It is small.", "buy one")).split("\n") == [
        "! disk              It is small.",
        f"{' ' * 20}→ buy one",
    ]
    assert "→" not in words("disk", ok("Fine."))


def test_the_command_prints_every_check_and_ends_with_its_status(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = tuple(each for each in CHECKS if each[0] in ("data directory", "permissions"))
    monkeypatch.setattr("node.commands.doctor.examine", lambda place: examine(place, chosen))
    arguments = ["doctor", "--data-dir", str(place.directory)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 2
    (place.directory / "schema").write_text("another")
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told.keys() == {"ok", "checks"} and told["ok"] is False
    assert [each["verdict"] for each in told["checks"]] == [PROBLEM, OK]
    assert all(each.keys() == {"name", "verdict", "sentence", "advice"} for each in told["checks"])
