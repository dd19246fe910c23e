"""Tables of the documents in docs/ that a benchmark computes: they stand between two marks and are made anew there."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
END = "<!-- end of the computed part -->\n"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Tables:
    """The computed part of one document."""

    bench: str  # that computes it
    name: str  # of the file in docs/
    make: Callable[[], str]

    @property
    def document(self) -> Path:
        return ROOT / "docs" / self.name

    @property
    def begin(self) -> str:
        return f"<!-- computed: bench {self.bench} -->\n"

    def rewritten(self, text: str) -> str:
        """The document with its computed part made anew."""
        before, rest = text.split(self.begin)
        _, after = rest.split(END)
        return before + self.begin + self.make() + END + after

    def follow(self, arguments: list[str]) -> None:
        """The one option of such a benchmark: --write."""
        parser = argparse.ArgumentParser(prog=f"bench {self.bench}")
        parser.add_argument("--write", action="store_true", help=f"rewrite the tables in docs/{self.name}")
        if parser.parse_args(arguments).write:
            self.document.write_text(self.rewritten(self.document.read_text()))
