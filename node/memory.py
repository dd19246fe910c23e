"""How much memory a node is expected to need, and how much there is: the machine's, or a container's limit.

Only a check at the start. What a trainer really takes depends on its libraries and device.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil

from node.errors import NodeError
from node.template import Learning

MIB = 1 << 20
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
PROGRAMS_BYTES = 560 * MIB
BYTES_PER_PARAMETER = 60  # weights, momentum, gradient, averages, and the copies that are being saved


class MemoryLimit(NodeError):
    """The node is expected to need more memory than the user allows."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `limit`: the least of the limits that the process runs under, None without one; `used` counts there."""

    total: int
    available: int
    limit: int | None = None
    limit_used: int = 0

    @property
    def usable(self) -> int:
        """What a new program may take before something has to give way."""
        if self.limit is None:
            return self.available
        return min(self.available, max(0, self.limit - self.limit_used))


def memory_of_machine(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> Memory:
    """What there is now."""
    machine = psutil.virtual_memory()
    limit, used = cgroup_limit(cgroups, own)
    return Memory(machine.total, machine.available, limit, used)


def cgroup_limit(cgroups: Path, own: Path) -> tuple[int | None, int]:
    """The least memory limit of this process's control groups and what is used under it; None if there is none."""
    found: list[tuple[int, int]] = []
    for folder in _folders(cgroups, own):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _number(folder / limit_name), _number(folder / used_name)
            # Version 1 writes "no limit" as a number beyond any memory.
            if limit is not None and limit < 1 << 60:
                found.append((limit, used or 0))
    return min(found, key=lambda each: each[0] - each[1], default=(None, 0))


def _folders(cgroups: Path, own: Path) -> list[Path]:
    """The folder of each group that holds this process, up to the root: a limit anywhere on the way counts."""
    folders = [cgroups, cgroups / "memory"]
    try:
        lines = own.read_text().splitlines()
    except (OSError, ValueError):
        return folders
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers not in ("", "memory"):
            continue
        base = cgroups / controllers
        folder = base / name.lstrip("/")
        folders += [each for each in (folder, *folder.parents) if each.is_relative_to(base) and each != base]
    return folders


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None


def expected_need(learning: Learning) -> int:
    """Bytes that node and trainer are expected to take together on the CPU.

    A part for the programs themselves, one for the copies of the model that both hold, one for the activations of a
    batch; fitted to measurements of the profiles dev and lab, see docs/settings.md.
    """
    inner, model = learning.inner, learning.model
    positions = inner.sequences * inner.length
    activations = positions * (model.layers * (8 * model.width + 2 * model.ffn_width) + 2 * model.vocabulary) * 4
    return PROGRAMS_BYTES + learning.parameters * BYTES_PER_PARAMETER + activations


def check_memory(need: int, wish: int | None, memory: Memory) -> str | None:
    """A warning if there seems to be too little memory. Raises MemoryLimit if the user's own limit is too low."""
    if wish is not None and need > wish:
        raise MemoryLimit(
            f"node and trainer are expected to need about {mib(need)}, and --memory allows {mib(wish)}: raise it to at "
            f"least {mib(need)}, or start with --no-training"
        )
    if need <= memory.usable:
        return None
    where = "the machine has" if memory.limit is None or memory.available <= memory.usable else "its container leaves"
    return (
        f"node and trainer are expected to need about {mib(need)}, {where} {mib(memory.usable)} free: it may be "
        "slow, or be ended by the system; close other programs or start with --no-training"
    )


def mib(number: int) -> str:
    return f"{number // MIB} MiB"
