"""The checks in their order: a table of contents. `examine` runs them all."""

from collections.abc import Callable, Iterator

from node.doctor.directory import disk_room, disk_speed, layout, ledger, permissions, running_node, times
from node.doctor.finding import PROBLEM, WARNING, Finding, Place
from node.doctor.machine import clock, clock_kept, cores, memory
from node.doctor.packages import databases, fast_packages, graphics_card, name_clashes, packages, python_version
from node.doctor.peers import peers
from node.doctor.ports import answers, api_port, listen_port
from node.doctor.wallet import wallet

Check = Callable[[Place], Finding]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("Python", python_version),
    ("packages", packages),
    ("package names", name_clashes),
    ("database", databases),
    ("fast packages", fast_packages),
    ("data directory", layout),
    ("permissions", permissions),
    ("ledger", ledger),
    ("wallet", wallet),
    ("running node", running_node),
    ("its API", answers),
    ("disk room", disk_room),
    ("disk speed", disk_speed),
    ("memory", memory),
    ("cores", cores),
    ("graphics card", graphics_card),
    ("clock", clock),
    ("clock's keeping", clock_kept),
    ("clock and files", times),
    ("API port", api_port),
    ("peers' port", listen_port),
    ("peers", peers),
)
SIGNS = {WARNING: "! ", PROBLEM: "✗ "}


def examine(place: Place, checks: tuple[tuple[str, Check], ...] = CHECKS) -> Iterator[tuple[str, Finding]]:
    """Each check's name and finding, as they come."""
    for name, check in checks:
        yield name, check(place)


def exit_status(findings: list[Finding]) -> int:
    """1 if something prevents running."""
    return int(any(finding.verdict == PROBLEM for finding in findings))


def words(name: str, finding: Finding) -> str:
    """A finding for people."""
    advice = f"\n{' ' * 20}→ {finding.advice}" if finding.advice else ""
    return f"{SIGNS.get(finding.verdict, '✓ ')}{name:<16}  {finding.sentence}{advice}"
