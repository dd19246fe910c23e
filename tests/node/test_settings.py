"""One table of settings: flag before environment before file before default, and nothing wrong is let pass."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from node.cli import cli
from node.setting_kinds import (
    Address,
    BadValue,
    BlockAt,
    Choice,
    Endpoint,
    FilePath,
    Several,
    Size,
    Whole,
    YesOrNo,
    split_address,
)
from node.settings import BY_NAME, FILE_NAME, SETTINGS, SettingsError, in_effect, settings_of
from node.settings_document import DOCUMENT, table, with_table
from node.settings_file import FILE_BYTES_MAXIMUM, misspelt_variables, read_settings

HERE = Path("/somewhere")


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))


def written(folder: Path, text: str | bytes, name: str = FILE_NAME) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def asked(*arguments: str, **variables: str) -> Result:
    """What `neuroshard settings` says."""
    return CliRunner().invoke(cli, ["settings", *arguments], env=variables)


def rows(*arguments: str, **variables: str) -> dict[str, Any]:
    result = asked("--json", *arguments, **variables)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


# ---- Who is heard


def test_a_flag_goes_before_the_environment_that_before_the_file_and_that_before_the_default(tmp_path: Path) -> None:
    path = written(tmp_path, "threads = 3\n", "mine.toml")
    file, variable, flag = ["--config", str(path)], {"NEUROSHARD_THREADS": "5"}, ["--threads", "7"]
    assert rows()["threads"] == {"value": "auto", "source": "default", "where": None}
    assert rows(*file)["threads"] == {"value": 3, "source": "file", "where": str(path)}
    assert rows(*file, **variable)["threads"] == {"value": 5, "source": "environment", "where": "NEUROSHARD_THREADS"}
    assert rows(*file, *flag, **variable)["threads"] == {"value": 7, "source": "flag", "where": "--threads"}


def test_the_file_in_the_data_directory_counts_unless_another_is_named(tmp_path: Path) -> None:
    beside = written(tmp_path / "home", "profile = 'lab'\ntraining = false")
    named = written(tmp_path, "profile = 'main'", "named.toml")
    found = rows("--data-dir", str(tmp_path / "home"))
    assert (found["profile"]["value"], found["profile"]["where"]) == ("lab", str(beside))
    assert found["training"]["value"] is False
    found = rows("--data-dir", str(tmp_path / "home"), "--config", str(named))
    assert (found["profile"]["value"], found["training"]["value"]) == ("main", True)


def test_a_switch_can_be_turned_both_ways_against_the_file(tmp_path: Path) -> None:
    file = ["--config", str(written(tmp_path, "training = false\nvalidator = true"))]
    assert (rows(*file)["training"]["value"], rows(*file)["validator"]["value"]) == (False, True)
    turned = rows(*file, "--training", "--no-validator")
    assert (turned["training"]["value"], turned["validator"]["value"]) == (True, False)
    assert turned["validator"]["where"] == "--no-validator"


def test_an_empty_variable_counts_as_none() -> None:
    assert rows(NEUROSHARD_THREADS="")["threads"]["source"] == "default"


def test_the_settings_are_shown_for_people_too(tmp_path: Path) -> None:
    lines = asked("--data-dir", str(tmp_path), "--memory", "2GB").stdout.splitlines()
    assert len(lines) == len(SETTINGS)
    assert lines[0].split() == ["data_dir", str(tmp_path), "flag", "--data-dir"]
    assert next(line for line in lines if line.startswith("memory")).split() == ["memory", "2GB", "flag", "--memory"]


def test_every_setting_reaches_the_node_with_its_default(tmp_path: Path) -> None:
    settings = settings_of(in_effect({"data_dir": tmp_path}, {}, read_settings))
    assert settings.data_directory == tmp_path and settings.training and not settings.validator_intent
    assert (settings.device, settings.profile, settings.api, settings.threads) == ("auto", "dev", None, None)
    assert (settings.until_round, settings.memory, settings.as_json) == (None, None, False)
    assert (settings.peers, settings.listen, settings.advertise, settings.allow_local) == ((), None, None, False)
    assert (settings.checkpoint, settings.sync) == (None, "full")
    assert (settings.logs.level, settings.logs.format, settings.logs.terminal_level) == ("info", "text", "warning")
    assert (settings.logs.file_bytes, settings.logs.files) == (5_000_000, 5)


def test_every_default_is_one_that_its_own_kind_allows() -> None:
    refused = []
    for setting in SETTINGS:
        try:
            setting.kind.parse(setting.default or "", HERE)
        except BadValue:
            refused.append(setting.name)
    assert refused == [setting.name for setting in SETTINGS if setting.default is None]


# ---- What a file may hold


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("thread = 2", "there is no setting 'thread': did you mean threads?"),
        ("log-level = 'info'", "did you mean log_level?"),
        ("zzz = 1", "known are network, profile"),
        ("threads = '2'", "threads: '2' is no such number; allowed is auto or a whole number from 1 to 1024"),
        ("threads = true", "threads: True is no such number"),
        ("threads = 0", "threads: 0 is out of bounds"),
        ("threads = 1025", "threads: 1025 is out of bounds"),
        ("training = 'false'", "training: 'false' is neither; allowed is true or false"),
        ("device = 'gpu'", "device: 'gpu' is none of them; allowed is auto, cpu, cuda or mps"),
        ("memory = 4", "memory: 4 is not a string; allowed is a size"),
        ("api = 8420", "api: 8420 is not a string; allowed is HOST:PORT"),
        ("api = 'localhost'", "api: 'localhost' is no address"),
        ("peer = 'a:1'", "peer: 'a:1' is not a list; allowed is HOST:PORT"),
        ("peer = ['a:1', 8430]", "peer: 8430 is not a string; allowed is HOST:PORT"),
        ("listen = ':1'", "listen: ':1' is no address; allowed is HOST:PORT, for example 0.0.0.0:8430"),
        ("checkpoint = '7'", "checkpoint: '7' names no block; allowed is HEIGHT:HASH"),
        ("sync = 'fast'", "sync: 'fast' is none of them; allowed is full or snapshot"),
        ("data_dir = '/x'", "data_dir cannot stand in a file: give --data-dir"),
        ("[log]\nlevel = 'info'", "there is no setting 'log'"),
        ("threads = ", "is not TOML in UTF-8"),
        (b"threads = \xff", "is not TOML in UTF-8"),
        ("a = " + "[" * 5000, "is not TOML in UTF-8"),
        ("#" * (FILE_BYTES_MAXIMUM + 1), "has more than 65536 bytes"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_file_key_and_what_is_allowed(
    tmp_path: Path, text: str | bytes, words: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    assert str(path) in str(caught.value) and words in str(caught.value)


def test_a_file_at_its_size_bound_is_read(tmp_path: Path) -> None:
    assert read_settings(written(tmp_path, "threads = 2\n".ljust(FILE_BYTES_MAXIMUM, "#"))) == {"threads": 2}


@pytest.mark.parametrize("name", ["token", "password", "mnemonic", "token_file", "password-file", "Token"])
def test_a_secret_in_a_file_is_refused_and_not_repeated(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="is not read from a file of settings") as caught:
        read_settings(written(tmp_path, f"{name} = 'abandon ability'"))
    assert "abandon" not in str(caught.value)


def test_a_file_that_is_named_and_missing_is_refused(tmp_path: Path) -> None:
    result = asked("--config", str(tmp_path / "no.toml"))
    assert isinstance(result.exception, SettingsError) and "No such file" in str(result.exception)


def test_a_relative_path_in_a_file_starts_at_the_file(tmp_path: Path) -> None:
    assert read_settings(written(tmp_path, "network = 'nets/mine'")) == {"network": tmp_path / "nets" / "mine"}


def test_every_setting_of_the_table_can_stand_in_a_file_or_says_why_not(tmp_path: Path) -> None:
    for setting in SETTINGS:
        path = written(tmp_path, f"{setting.name} = {{}}")
        words = f"{setting.name}: {{}}" if setting.in_file else "cannot stand in a file"
        with pytest.raises(SettingsError) as caught:
            read_settings(path)
        assert words in str(caught.value)


# ---- What a value may be


@pytest.mark.parametrize(("text", "value"), [("auto", None), ("1", 1), (" 1024 ", 1024), ("+7", 7)])
def test_threads_are_auto_or_from_1_to_1024(text: str, value: int | None) -> None:
    assert BY_NAME["threads"].kind.parse(text, HERE) == value


@pytest.mark.parametrize("text", ["0", "1025", "-1", "2.0", "1_000", "٣", "two", "", "9" * 5000])
def test_other_numbers_of_threads_are_refused(text: str) -> None:
    with pytest.raises(BadValue, match="from 1 to 1024"):
        BY_NAME["threads"].kind.parse(text, HERE)
    with pytest.raises(BadValue):
        Whole(1, 9).parse("auto", HERE)


@pytest.mark.parametrize(
    ("text", "number"),
    [("4GB", 4 * 10**9), ("1.5GiB", 3 * 2**29), ("500 mb", 5 * 10**8), ("100B", 100), ("8KB", 8000)],
)
def test_a_size_has_a_unit(text: str, number: int) -> None:
    assert Size(100, 10**12).parse(text, HERE) == number


@pytest.mark.parametrize("text", ["4", "GB", "4XB", "-4GB", "4.GB", "1e3MB", "99B", "1001GB", "4GB 4GB", "nan"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(BadValue, match="allowed is a size from 100B to 1TB"):
        Size(100, 10**12).parse(text, HERE)


@pytest.mark.parametrize("text", ["127.0.0.1:8420", "localhost:0", "[::1]:65535", "my-host.example:80"])
def test_an_address_is_host_and_port(text: str) -> None:
    assert Address().parse(text, HERE) == text
    host, port = split_address(text)
    assert not host.startswith("[") and 0 <= port <= 65_535


@pytest.mark.parametrize(
    "text", ["localhost", ":80", "a:65536", "a:-1", "a:٣", "::1:80", "a b:80", "http://a:80", "a:"]
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(BadValue, match="HOST:PORT"):
        Address().parse(text, HERE)


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "10.0.0.1:0", "10.0.0.1", ":1"])
def test_a_peer_is_somewhere_that_one_can_connect_to(text: str) -> None:
    with pytest.raises(BadValue, match=r"allowed is HOST:PORT, for example node\.example\.org:8430"):
        Endpoint().parse(text, HERE)
    assert Endpoint().parse("[::1]:65535", HERE) == ("::1", 65_535)


def test_a_node_may_listen_on_all_addresses_and_on_any_port() -> None:
    assert Endpoint(any_port=True).parse("0.0.0.0:0", HERE) == ("0.0.0.0", 0)
    with pytest.raises(BadValue, match=r"for example 0\.0\.0\.0:8430"):
        Endpoint(any_port=True).parse("8430", HERE)


def test_peers_are_given_by_flags_by_a_variable_with_commas_or_by_a_list(tmp_path: Path) -> None:
    a, b, both = "a:1", "[::1]:2", ["a:1", "[::1]:2"]
    file = ["--config", str(written(tmp_path, f'peer = ["{a}", "{b}", "{a}"]'))]
    assert rows("--peer", a, "--peer", b)["peer"] == {"value": both, "source": "flag", "where": "--peer"}
    assert rows(NEUROSHARD_PEER=f"{a}, {b}")["peer"]["value"] == both == rows(*file)["peer"]["value"]
    assert rows(*file, "--peer", b)["peer"]["value"] == [b]
    assert rows()["peer"]["value"] is None
    assert f"peer {a},{b} flag --peer".split() in [
        line.split() for line in asked("--peer", a, "--peer", b).stdout.splitlines()
    ]


def test_several_are_at_most_so_many() -> None:
    kind = Several(Endpoint(), 2)
    assert kind.parse("a:1,b:2", HERE) == (("a", 1), ("b", 2)) == kind.check(["a:1", "b:2"], HERE)
    for wrong in (lambda: kind.parse("a:1,b:2,c:3", HERE), lambda: kind.check(["a:1", "b:2", "c:3"], HERE)):
        with pytest.raises(BadValue, match=r"these are 3; allowed is .*, up to 2 of them"):
            wrong()


def test_too_many_peers_as_flags_are_refused() -> None:
    flags = [word for port in range(1, 66) for word in ("--peer", f"a:{port}")]
    assert len(rows(*flags[:-2])["peer"]["value"]) == 64
    result = asked(*flags)
    assert isinstance(result.exception, SettingsError) and "these are 65" in str(result.exception)


@pytest.mark.parametrize("text", ["7", "7:", ":" + "ab" * 32, "-1:" + "ab" * 32, "7:" + "ab" * 31, "7:" + "xy" * 32])
def test_a_checkpoint_is_a_height_and_a_whole_hash(text: str) -> None:
    with pytest.raises(BadValue, match="HEIGHT:HASH"):
        BlockAt().parse(text, HERE)
    assert BlockAt().parse("7:" + "aB" * 32, HERE) == (7, b"\xab" * 32)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("ON", True), ("1", True), ("no", False), ("0", False)])
def test_a_switch_in_the_environment_is_a_word_for_yes_or_no(text: str, value: bool) -> None:
    assert YesOrNo().parse(text, HERE) is value
    with pytest.raises(BadValue):
        YesOrNo().parse(text + "x", HERE)


def test_a_choice_is_one_of_its_words_as_they_are_written() -> None:
    assert Choice(("text", "json")).parse("json", HERE) == "json"
    with pytest.raises(BadValue, match="allowed is text or json"):
        Choice(("text", "json")).parse("JSON", HERE)


def test_a_path_may_start_at_home_and_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FilePath().parse("~/x/../y", HERE) == tmp_path / "y"
    assert FilePath().parse("x", tmp_path) == tmp_path / "x"


@pytest.mark.parametrize("text", ["~nouser-at-all/x", "/tmp/\udcff", "a\0b", ""])
def test_a_path_that_leads_nowhere_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadValue):
        FilePath().parse(text, HERE)


def test_links_that_lead_in_a_circle_are_no_path(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(BadValue, match="leads nowhere"):
        FilePath().parse(str(tmp_path / "a"), HERE)


def test_a_long_or_dangerous_value_is_cut_and_made_harmless_in_the_error() -> None:
    with pytest.raises(BadValue) as caught:
        Choice(("a", "b")).parse("\x1b[31m" + "x" * 10_000, HERE)
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 150


# ---- On the command line


@pytest.mark.parametrize("path", ["~nouser-at-all/x", "/tmp/\udcff"])
@pytest.mark.parametrize("command", [["status"], ["settings"], ["generate", "The"], []])
def test_a_data_directory_that_cannot_be_is_a_wrong_call(command: list[str], path: str) -> None:
    result = CliRunner().invoke(cli, [*command, "--data-dir", path])
    assert result.exit_code == 2 and "--data-dir" in result.stderr and "Traceback" not in result.output


def test_a_wrong_variable_is_named() -> None:
    result = asked(NEUROSHARD_THREADS="many")
    assert isinstance(result.exception, SettingsError) and str(result.exception).startswith(
        "NEUROSHARD_THREADS: 'many'"
    )


def test_a_misspelt_variable_is_told_and_one_of_somebody_else_is_not() -> None:
    assert misspelt_variables({"NEUROSHARD_THREAD": "2", "NEUROSHARD_TOKEN": "x", "NEUROSHARD_THREADS": "2"}) == [
        "NEUROSHARD_THREAD is not a setting and has no effect: did you mean NEUROSHARD_THREADS?"
    ]
    assert misspelt_variables({"NEUROSHARD_FAILPOINT": "x", "THREADS": "2"}) == []
    assert "did you mean NEUROSHARD_THREADS" in asked(NEUROSHARD_THREAD="2").stderr


def test_an_option_before_a_commands_name_is_refused_instead_of_being_without_effect(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["--data-dir", str(tmp_path), "status"])
    assert result.exit_code == 2 and "--data-dir stands before 'status'" in result.stderr


def test_the_data_directory_of_every_command_may_come_from_the_environment(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["status"], env={"NEUROSHARD_DATA_DIR": str(tmp_path / "there")})
    assert str(tmp_path / "there") in str(result.exception)


# ---- In the documentation


def test_the_documents_table_is_the_table() -> None:
    text = DOCUMENT.read_text()
    assert table() in text, "run .venv/bin/python -m node.settings_document"
    assert with_table(text) == text and all(setting.flag.split("/")[0] in table() for setting in SETTINGS)
