"""Every injected bug still has its place in the code, and tests that are there."""

import ast
from pathlib import Path

import pytest

from tests.mutations.__main__ import edited
from tests.mutations.edits import Edit
from tests.mutations.entries import MUTATIONS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_place_of_every_bug_is_there_once_and_with_the_bug_it_is_still_a_program(mutation):
    texts = {edit.file: (ROOT / edit.file).read_text() for edit in mutation.edits}
    for edit in mutation.edits:
        texts[edit.file] = edited(texts[edit.file], edit)
    for file, text in texts.items():
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse((ROOT / file).read_text()))
    for file, _, test in (each.partition("::") for each in mutation.tests):
        assert f"def {test}" in (ROOT / file).read_text()


def test_a_place_that_is_gone_or_not_the_only_one_is_told():
    for text in ("", "a b a b"):
        with pytest.raises(SystemExit, match="1 is wanted"):
            edited(text, Edit("a file", "a b", "c"))
    assert edited("x a b y", Edit("a file", "a b", "c")) == "x c y"


def test_bugs_have_different_names():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
