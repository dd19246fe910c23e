"""`neuroshard settings`: what is in effect, and who said it."""

import json
import os
from collections.abc import Mapping
from typing import Any

import click

from node.setting_kinds import BlockAt, Endpoint, FilePath, Several, value_text
from node.settings import BY_NAME, InEffect, Setting
from node.settings_file import misspelt_variables


def show(found: Mapping[str, InEffect], as_json: bool) -> None:
    """Print every setting. Sentences about variables that look misspelt go to stderr."""
    for sentence in misspelt_variables(os.environ):
        click.echo(f"warning: {sentence}", err=True)
    if as_json:
        click.echo(json.dumps(rows(found)))
        return
    width = max(map(len, found))
    values = {name: _words(BY_NAME[name], each) for name, each in found.items()}
    value_width = max(map(len, values.values()))
    for name, each in found.items():
        origin = each.source if not each.where else f"{each.source} {each.where}"
        click.echo(f"{name:<{width}}  {values[name]:<{value_width}}  {origin}")


def rows(found: Mapping[str, InEffect]) -> dict[str, dict[str, Any]]:
    """Every setting as JSON: value, source, and where that is said."""
    return {name: {"value": _plain(BY_NAME[name], each), **_origin(each)} for name, each in found.items()}


def _origin(each: InEffect) -> dict[str, str | None]:
    return {"source": each.source, "where": each.where or None}


def _plain(setting: Setting, each: InEffect) -> object:
    """The value as JSON has it; sizes in bytes."""
    if each.value is None and setting.default is not None:
        return setting.default
    if each.value is None:
        return None
    if isinstance(setting.kind, Several):
        return [value_text(setting.kind.kind, one) for one in each.value]
    is_text = isinstance(setting.kind, Endpoint | BlockAt | FilePath)
    return value_text(setting.kind, each.value) if is_text else each.value


def _words(setting: Setting, each: InEffect) -> str:
    if each.value is None:
        return setting.default or f"({setting.without})"
    return value_text(setting.kind, each.value)
