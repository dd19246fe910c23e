"""The options that several commands share; those that are settings are made from the table in `node.settings`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from node.setting_kinds import BadValue, BlockAt, Choice, Endpoint, Kind, Several, YesOrNo
from node.settings import BY_NAME, SETTINGS, Setting, data_directory

Command = Callable[..., Any]


class _SettingType(click.ParamType[Any]):
    """A setting's kind, as click wants to know it."""

    def __init__(self, setting: Setting) -> None:
        self.kind: Kind = setting.kind.kind if isinstance(setting.kind, Several) else setting.kind
        self.name = setting.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.kind.parse(value, Path.cwd()) if isinstance(value, str) else value
        except BadValue as error:
            self.fail(str(error), param, ctx)


def kind_of(name: str) -> click.ParamType[Any]:
    """How a setting's value is written, for a command that has an option like it."""
    return _SettingType(BY_NAME[name])


def _metavar(setting: Setting) -> str:
    if isinstance(setting.kind, Choice):
        return "|".join(setting.kind.names)
    kind = setting.kind.kind if isinstance(setting.kind, Several) else setting.kind
    if isinstance(kind, Endpoint | BlockAt):
        return kind.allowed.split(",")[0]
    words = dict.fromkeys(("until_round", "log_files", "keep_epochs", "keep_payloads", "snapshot_epochs"), "N")
    words |= {"api": "HOST:PORT", "api_rate": "N", "api_origin": "ORIGIN", "threads": "N|auto"}
    sizes = {"memory": "SIZE", "log_file_size": "SIZE", "data_dir": "FOLDER"}
    return (words | sizes).get(setting.name, "FILE")


def _option(setting: Setting) -> Callable[[Command], Command]:
    """The click option of a setting; None where the flag was not given, so that others may speak."""
    default = setting.default if setting.default is not None else setting.without
    text = f"{setting.help}  [default: {default}]"
    if isinstance(setting.kind, YesOrNo):
        return click.option(setting.flag, setting.name, is_flag=True, default=None, help=text)
    kind, metavar = _SettingType(setting), _metavar(setting)
    if isinstance(setting.kind, Several):
        return click.option(setting.flag, setting.name, type=kind, metavar=metavar, multiple=True, help=text)
    return click.option(setting.flag, setting.name, type=kind, metavar=metavar, default=None, help=text)


def setting_options(*names: str) -> Callable[[Command], Command]:
    """The options of these settings, in the order of the table; of all without names."""

    def decorate(command: Command) -> Command:
        for setting in reversed(SETTINGS):
            if not names or setting.name in names:
                command = _option(setting)(command)
        return command

    return decorate


def _resolved(_: click.Context, __: click.Parameter, flag: Path | None) -> Path:
    return data_directory(flag, os.environ)


DATA_DIRECTORY = click.option(
    "--data-dir",
    type=_SettingType(BY_NAME["data_dir"]),
    metavar="FOLDER",
    callback=_resolved,
    help=f"{BY_NAME['data_dir'].help}  [default: {BY_NAME['data_dir'].default}]",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
