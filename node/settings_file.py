"""Settings in a TOML file, and the names that somebody got nearly right."""

import difflib
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from node.backends import CHOICES
from node.setting_kinds import BadValue, shown
from node.settings import BY_NAME, PREFIX, SETTINGS, SettingsError

FILE_BYTES_MAXIMUM = 65_536
# A file of settings gets copied, shown and kept in version control: no place for what owns money.
SECRETS = ("token", "password", "mnemonic", "words", "token_file", "password_file", "seed", "private_key")
SECRET_VARIABLES = ("token", "password")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings that a file holds. Raises SettingsError, naming the file, the key and what is allowed."""
    found: dict[str, Any] = {}
    for key, value in _parsed(path).items():
        setting = BY_NAME.get(key)
        if key.lower().replace("-", "_") in SECRETS:
            raise SettingsError(
                f"{path}: {key} is a secret or leads to one and is not read from a file of settings: take it out, and "
                "use --token-file, --password-file or the environment"
            )
        if setting is None:
            raise SettingsError(f"{path}: there is no setting {shown(key)}{_meant(key, _names())}")
        if not setting.in_file:
            raise SettingsError(
                f"{path}: {key} cannot stand in a file: give {setting.flag} or set {setting.variable} instead"
            )
        try:
            found[key] = setting.kind.check(value, path.parent)
        except BadValue as error:
            raise SettingsError(f"{path}: {key}: {error}") from error
    return found


def misspelt_variables(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that looks like a setting of ours and is none."""
    others = (variable.removeprefix(PREFIX).lower() for variable in CHOICES)
    known = [*(setting.name for setting in SETTINGS), *SECRET_VARIABLES, *others]
    found = []
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name not in known and (near := _nearest(name, known)):
            found.append(f"{variable} is not a setting and has no effect: did you mean {PREFIX}{near[0].upper()}?")
    return found


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAXIMUM + 1)
    except OSError as error:
        raise SettingsError(f"cannot read the settings in {path}: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAXIMUM:
        raise SettingsError(f"{path} has more than {FILE_BYTES_MAXIMUM} bytes: that is no file of settings")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"{path} is not TOML in UTF-8 ({error}): a line is `name = value`, text in quotes"
        ) from error


def _names() -> list[str]:
    return [setting.name for setting in SETTINGS if setting.in_file]


def _nearest(name: str, known: Collection[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.8)


def _meant(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1) or _nearest(name, known)
    return f": did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
