"""A node that trains and earns, with a wallet that was made before it, and a friend's wallet without a node."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.node.processes import PASSWORD, ROOT, NodeProcess
from wallet import keystore, keystore_file


@dataclass
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Life:
    """Two folders, of which the first has a node, and what commands said there."""

    root: Path
    words: str
    node: NodeProcess
    created: Any

    @property
    def earner(self) -> Path:
        return self.root / "earner"

    @property
    def friend(self) -> Path:
        return self.root / "friend"

    @property
    def api(self) -> str:
        return str(json.loads((self.earner / "api.json").read_text())["address"])

    def of_friend(self, *words: str) -> Any:
        return wallet(self.friend, *words, "--api", self.api).json

    def of_earner(self, *words: str) -> Any:
        return wallet(self.earner, *words).json

    def earned(self, nanos: int) -> Any:
        """The status as soon as so much is there to be spent: rewards vest."""
        return self.node.until(lambda status: int(status["balance_nanos"]) > nanos)

    def calm(self) -> None:
        """Its training gives way to whatever else runs here."""
        trainer = self.node.trainer()
        assert trainer is not None
        os.setpriority(os.PRIO_PROCESS, trainer, 19)

    def stop(self) -> None:
        ended = self.node.end()
        assert ended.status == 0 and self.words not in ended.out + ended.err, ended.err

    def go_on(self) -> None:
        self.node = started(self.earner)


def started(home: Path) -> NodeProcess:
    return NodeProcess(home, environment={"NEUROSHARD_PASSWORD": PASSWORD})


def opened_at_once(home: Path) -> None:
    """What makes guessing dear makes tests slow: the same wallet under the same password, stretched no longer."""
    path = home / "keystore.json"
    kept = keystore_file.load(path)
    path.unlink()
    secret = keystore.unseal(kept, PASSWORD)
    keystore_file.save(path, keystore.seal(secret, PASSWORD, kept.address, kept.description, scrypt_n=2))


@contextmanager
def a_life(root: Path) -> Iterator[Life]:
    made = wallet(root / "earner", "create")
    assert made.status == 0, made.err
    words = next(line.strip() for line in made.err.splitlines() if line.startswith("    "))
    opened_at_once(root / "earner")
    life = Life(root, words, started(root / "earner"), made.json)
    try:
        friend = wallet(life.friend, "create").json["address"]
        opened_at_once(life.friend)
        assert wallet(life.earner, "book", "add", "friend", friend).status == 0
        yield life
    finally:
        if life.node.process.poll() is None:
            life.stop()


def run(*words: str, password: str | None = PASSWORD, stdin: str = "") -> Ran:
    """`neuroshard wallet` as a script runs it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD")}
    secret = {} if password is None else {"NEUROSHARD_PASSWORD": password}
    ended = subprocess.run(
        [sys.executable, "-m", "node", "wallet", *words],
        cwd=ROOT,
        env={**clean, **secret},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def wallet(folder: Path, *words: str, as_json: bool = True, **how: Any) -> Ran:
    """A command on a folder."""
    return run(*words, "--data-dir", str(folder), *(["--json"] * as_json), **how)
