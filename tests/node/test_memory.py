"""How much memory a node is expected to need, and how much there is."""

from pathlib import Path

import pytest

from node.memory import MIB, Memory, MemoryLimit, cgroup_limit, check_memory, memory_of_machine


def test_a_need_at_the_limit_fits_and_one_byte_more_does_not() -> None:
    memory = Memory(total=1000 * MIB, available=900 * MIB)
    assert check_memory(900 * MIB, 900 * MIB, memory) is None
    assert "the machine has 900 MiB free" in (check_memory(900 * MIB + 1, None, memory) or "")
    with pytest.raises(MemoryLimit, match="--memory allows 899 MiB"):
        check_memory(900 * MIB, 900 * MIB - 1, memory)


def test_the_limit_of_a_container_counts_where_it_is_lower() -> None:
    memory = Memory(total=9000 * MIB, available=8000 * MIB, limit=1000 * MIB, limit_used=400 * MIB)
    assert check_memory(600 * MIB, None, memory) is None
    assert "its container leaves 600 MiB free" in (check_memory(600 * MIB + 1, None, memory) or "")


def test_the_control_groups_of_both_versions_are_read(tmp_path: Path) -> None:
    own = tmp_path / "self"
    own.write_text("0::/outer/inner\n")
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    assert cgroup_limit(tmp_path, own) == (None, 0)
    (tmp_path / "outer" / "inner" / "memory.max").write_text("max\n")
    assert cgroup_limit(tmp_path, own) == (None, 0)
    (tmp_path / "outer" / "memory.max").write_text("5000\n")
    (tmp_path / "outer" / "memory.current").write_text("100\n")
    assert cgroup_limit(tmp_path, own) == (5000, 100)
    own.write_text("4:memory:/box\n3:cpu:/box\n")
    (tmp_path / "memory" / "box").mkdir(parents=True)
    (tmp_path / "memory" / "box" / "memory.limit_in_bytes").write_text(str((1 << 63) - 4096))
    assert cgroup_limit(tmp_path, own) == (None, 0)
    (tmp_path / "memory" / "box" / "memory.limit_in_bytes").write_text("3000\n")
    assert cgroup_limit(tmp_path, own) == (3000, 0)
    assert cgroup_limit(tmp_path, tmp_path / "nothing") == (None, 0)


def test_the_memory_of_this_machine_is_found() -> None:
    found = memory_of_machine()
    assert 0 < found.usable <= found.available <= found.total
