"""`neuroshard doctor`: can this machine run a node?"""

import json
import sys
from dataclasses import asdict

import click

from node.doctor.checks import examine, exit_status, words
from node.doctor.finding import Finding, Place
from node.settings import Settings


def show(settings: Settings, as_json: bool) -> None:
    """Print every finding as it comes, or one JSON object at the end; status 1 if something prevents running."""
    place = Place(
        settings.data_directory,
        settings.api,
        settings.device,
        settings.memory,
        settings.network_file,
        settings.peers,
        settings.listen,
    )
    found: list[tuple[str, Finding]] = []
    for name, finding in examine(place):
        found.append((name, finding))
        if not as_json:
            click.echo(words(name, finding))
    status = exit_status([finding for _, finding in found])
    if as_json:
        checks = [{"name": name, **asdict(finding)} for name, finding in found]
        click.echo(json.dumps({"ok": not status, "checks": checks}))
    sys.exit(status)
