"""The table of docs/settings.md, made from the table of settings: `python -m node.settings_document` rewrites it."""

from pathlib import Path

from node.settings import SETTINGS, Setting

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"
BEGIN, END = "<!-- made by python -m node.settings_document -->\n", "<!-- end -->\n"


def table() -> str:
    """Every setting in a row."""
    head = "| Flag | Variable | Name in a file | Allowed | Default | What it does |\n|---|---|---|---|---|---|\n"
    return head + "".join(map(_row, SETTINGS))


def _row(setting: Setting) -> str:
    name = f"`{setting.name}`" if setting.in_file else "cannot stand in a file"
    default = f"`{setting.default}`" if setting.default is not None else setting.without
    flag = " ".join(f"`{each}`" for each in setting.flag.split("/"))
    return f"| {flag} | `{setting.variable}` | {name} | {setting.kind.allowed} | {default} | {setting.help} |\n"


def with_table(text: str) -> str:
    """The document with its table as it must be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
