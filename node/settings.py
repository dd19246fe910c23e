"""What a user can set for a node: one table, from which flags, environment variables, file and documentation follow.

A setting comes from the first of: flag, environment variable, TOML file, default. The file is `--config FILE`, else
`neuroshard.toml` in the data directory if there is one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.errors import NodeError
from node.setting_kinds import (
    Address,
    BadValue,
    BlockAt,
    Choice,
    Endpoint,
    FilePath,
    Kind,
    Origin,
    Several,
    Size,
    Whole,
    YesOrNo,
)

DEFAULT_API = "127.0.0.1:8420"
API_PORTS_TRIED = 10
THREADS_MAXIMUM = 1024
PROFILES = ("dev", "main", "lab")
LEVELS = ("debug", "info", "warning", "error")
FILE_NAME = "neuroshard.toml"
PREFIX = "NEUROSHARD_"  # of environment variables


class SettingsError(NodeError):
    """A setting that is unknown or not allowed; the message names who said it, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `default` is written as a user would write it; None: `without` says what happens then."""

    name: str
    flag: str
    kind: Kind
    default: str | None
    help: str
    without: str = "none"
    in_file: bool = True

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()


SETTINGS = (
    Setting(
        "data_dir",
        "--data-dir",
        FilePath("a path of a folder"),
        "~/.neuroshard",
        "Where the node keeps wallet, ledger and model.",
        in_file=False,
    ),
    Setting(
        "config",
        "--config",
        FilePath(),
        None,
        "File with settings.",
        f"{FILE_NAME} in the data directory, if it is there",
        in_file=False,
    ),
    Setting("network", "--network", FilePath(), None, "Network file to start from.", "a new network of one"),
    Setting("profile", "--profile", Choice(PROFILES), "dev", "Numbers of a new network."),
    Setting(
        "peer",
        "--peer",
        Several(Endpoint()),
        None,
        "A node to connect to; may be given several times. In a variable: separated by commas.",
        "nobody is dialled, or only peers that the node has met before",
    ),
    Setting(
        "listen",
        "--listen",
        Endpoint(any_port=True),
        None,
        "Where other nodes can connect; port 0 takes a free one.",
        "nowhere: this node only dials out",
    ),
    Setting(
        "advertise",
        "--advertise",
        Endpoint(),
        None,
        "Where other nodes are told to connect, if that is not where this one listens: behind a router, say.",
        "where it listens",
    ),
    Setting(
        "allow_local",
        "--allow-local/--no-allow-local",
        YesOrNo(),
        "false",
        "Believe peers that name addresses of this machine or of a private network.",
    ),
    Setting(
        "checkpoint",
        "--checkpoint",
        BlockAt(),
        None,
        "A final block that you trust: a chain without it is refused.",
    ),
    Setting(
        "sync",
        "--sync",
        Choice(("full", "snapshot")),
        "full",
        "Fetch all blocks from the first, or the state of a recent one.",
    ),
    Setting("training", "--training/--no-training", YesOrNo(), "true", "Train, or keep the ledger only."),
    Setting(
        "validator",
        "--validator/--no-validator",
        YesOrNo(),
        "false",
        "Bond earned rewards up to the minimum stake, then validate.",
    ),
    Setting("device", "--device", Choice(("auto", "cpu", "cuda", "mps")), "auto", "What to train on."),
    Setting(
        "threads",
        "--threads",
        Whole(1, THREADS_MAXIMUM, auto=True),
        "auto",
        "Threads for training; auto looks at this machine.",
    ),
    Setting(
        "memory",
        "--memory",
        Size(64 * 10**6, 10**15),
        None,
        "Refuse to start if node and trainer are expected to need more. Checked at the start, not enforced later.",
        "no limit of ours",
    ),
    Setting(
        "api",
        "--api",
        Address(),
        None,
        "Where to serve status and explorer.",
        f"{DEFAULT_API}, or the next free of {API_PORTS_TRIED} ports",
    ),
    Setting(
        "api_rate",
        "--api-rate",
        Whole(1, 1_000_000),
        "50",
        "Requests a second that one address may send to the API; four times as many at once.",
    ),
    Setting(
        "api_origin",
        "--api-origin",
        Several(Origin()),
        None,
        "Site whose pages may read the API from a browser; may be given several times.",
        "pages of other sites read nothing",
    ),
    Setting("until_round", "--until-round", Whole(1, 2**63 - 1), None, "Stop after this many closed rounds.", "never"),
    Setting(
        "keep_epochs",
        "--keep-epochs",
        Whole(1, 2**48),
        None,
        "Forget blocks before this many epochs, as `archive prune` does.",
        "every block is kept",
    ),
    Setting(
        "keep_payloads",
        "--keep-payloads",
        Whole(1, 2**48),
        "64",
        "Forget the payloads of rounds before this many, once their rewards are released.",
    ),
    Setting(
        "archive",
        "--archive/--no-archive",
        YesOrNo(),
        "false",
        "Keep every block and every payload, and fetch those that are missing.",
    ),
    Setting(
        "snapshot_epochs",
        "--snapshot-epochs",
        Whole(1, 2**48),
        None,
        "Make a snapshot for new nodes every so many epochs, and serve the last two.",
        "none are made",
    ),
    Setting(
        "segment_disk",
        "--segment-disk",
        Size(10**6, 10**15),
        None,
        "The most that the states of this node's segments may take, and those of others that it audits as much again.",
        "2 GB, or three rounds of the network if they take more",
    ),
    Setting("json", "--json", YesOrNo(), "false", "Print one JSON object on stdout."),
    Setting("log_level", "--log-level", Choice(LEVELS), "info", "The least that is written to logs/node.log."),
    Setting("log_format", "--log-format", Choice(("text", "json")), "text", "Lines for people, or JSON objects."),
    Setting(
        "log_file_size", "--log-file-size", Size(64 * 10**3, 10**9), "5MB", "When the log goes on in the next file."
    ),
    Setting("log_files", "--log-files", Whole(1, 100), "5", "How many log files are kept, the newest among them."),
    Setting("terminal_level", "--terminal-level", Choice(LEVELS), "warning", "The least of the log that is shown."),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class LogSettings:
    level: str = "info"
    format: str = "text"
    file_bytes: int = 5 * 10**6
    files: int = 5
    terminal_level: str = "warning"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a running node goes by."""

    data_directory: Path
    network_file: Path | None
    profile: str
    training: bool
    validator_intent: bool
    device: str
    threads: int | None  # None: `node.threads` chooses
    api: str | None  # None: the default address, or the next free port
    until_round: int | None
    memory: int | None = None
    keep_epochs: int | None = None  # None: every block is kept
    keep_payloads: int = 64  # rounds; only where the node is no archive
    archive: bool = False
    snapshot_epochs: int | None = None  # None: no snapshots are made
    segment_disk: int | None = None  # bytes; None: `node.segment_room` chooses
    as_json: bool = False
    logs: LogSettings = field(default_factory=LogSettings)
    peers: tuple[tuple[str, int], ...] = ()  # hosts and ports to dial
    listen: tuple[str, int] | None = None  # None: only dials out
    advertise: tuple[str, int] | None = None  # None: `listen`
    allow_local: bool = False
    checkpoint: tuple[int, bytes] | None = None  # height and hash
    sync: str = "full"  # or "snapshot"
    api_rate: int = 50  # requests a second of one address
    api_origins: tuple[str, ...] = ()  # of pages that may read the API


@dataclass(frozen=True, slots=True)
class InEffect:
    """A value and who said it: `default`, a flag, a variable, or a file."""

    value: Any
    source: str
    where: str = ""


ReadFile = Callable[[Path], Mapping[str, Any]]


def in_effect(flags: Mapping[str, object], environment: Mapping[str, str], read_file: ReadFile) -> dict[str, InEffect]:
    """Every setting's value and source. `flags` holds parsed values, None where a flag was not given.

    Raises SettingsError.
    """
    found = {name: each for name in BY_NAME if (each := _said(BY_NAME[name], flags, environment)) is not None}
    directory = found.get("data_dir") or _default(BY_NAME["data_dir"])
    config = found.get("config")
    beside = directory.value / FILE_NAME
    path = config.value if config is not None else beside if beside.exists() else None
    if path is not None:
        for name, value in read_file(path).items():
            found.setdefault(name, InEffect(value, "file", str(path)))
    return {name: found.get(name) or _default(setting) for name, setting in BY_NAME.items()}


def data_directory(flag: Path | None, environment: Mapping[str, str]) -> Path:
    """The data directory alone, for a command that needs nothing else. Raises SettingsError."""
    setting = BY_NAME["data_dir"]
    path: Path = (_said(setting, {"data_dir": flag}, environment) or _default(setting)).value
    return path


def _said(setting: Setting, flags: Mapping[str, object], environment: Mapping[str, str]) -> InEffect | None:
    given = flags.get(setting.name)
    if given == ():  # a flag that may be repeated, and was not given at all
        given = None
    if given is not None:
        if isinstance(setting.kind, Several):
            given = _bounded(setting, given)
        return InEffect(given, "flag", flag_of(setting, given))
    text = environment.get(setting.variable)
    if not text:
        return None
    try:
        return InEffect(setting.kind.parse(text, Path.cwd()), "environment", setting.variable)
    except BadValue as error:
        raise SettingsError(f"{setting.variable}: {error}") from error


def _bounded(setting: Setting, given: Any) -> tuple[Any, ...]:
    assert isinstance(setting.kind, Several)
    try:
        return setting.kind.bounded(given)
    except BadValue as error:
        raise SettingsError(f"{setting.flag}: {error}") from error


def flag_of(setting: Setting, value: object) -> str:
    """The flag that sets this value: of a switch's two the one that was given."""
    on, _, off = setting.flag.partition("/")
    return off if off and value is False else on


def _default(setting: Setting) -> InEffect:
    if setting.default is None:
        return InEffect(None, "default")
    try:
        return InEffect(setting.kind.parse(setting.default, Path.cwd()), "default")
    except BadValue as error:  # no home folder to expand ~ with
        raise SettingsError(f"{setting.name}: {error}; give {setting.flag}") from error


def settings_of(found: Mapping[str, InEffect]) -> Settings:
    """The values in effect as a node wants them. Raises SettingsError if two of them contradict each other."""
    value = {name: each.value for name, each in found.items()}
    if value["archive"] and value["keep_epochs"] is not None:
        raise SettingsError("--archive keeps every block and --keep-epochs forgets the old ones: give one of them")
    if value["archive"] and value["sync"] == "snapshot":
        raise SettingsError("--archive wants every block and --sync snapshot leaves the old ones out: give one of them")
    logs = LogSettings(
        value["log_level"], value["log_format"], value["log_file_size"], value["log_files"], value["terminal_level"]
    )
    return Settings(
        data_directory=value["data_dir"],
        network_file=value["network"],
        profile=value["profile"],
        training=value["training"],
        validator_intent=value["validator"],
        device=value["device"],
        threads=value["threads"],
        api=value["api"],
        until_round=value["until_round"],
        memory=value["memory"],
        keep_epochs=value["keep_epochs"],
        keep_payloads=value["keep_payloads"],
        archive=value["archive"],
        snapshot_epochs=value["snapshot_epochs"],
        segment_disk=value["segment_disk"],
        as_json=value["json"],
        logs=logs,
        peers=value["peer"] or (),
        listen=value["listen"],
        advertise=value["advertise"],
        allow_local=value["allow_local"],
        checkpoint=value["checkpoint"],
        sync=value["sync"],
        api_rate=value["api_rate"],
        api_origins=value["api_origin"] or (),
    )
