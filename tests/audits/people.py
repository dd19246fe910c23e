"""Villages ready made: a founder and four validators with stake, honest unless others are named."""

from collections.abc import Sequence
from typing import Any

from chain.genesis import Network
from tests.audits.auditor import Auditor
from tests.audits.school import School, a_learning_network, some_tokens
from tests.audits.trainer import Trainer
from tests.audits.village import Village
from tests.builders import a_key

VALIDATORS = 4


def a_school(network: Network | None = None, **chain: int) -> School:
    network = network or a_learning_network(**chain)
    return School(network, some_tokens(network.section("model")["vocabulary"]))


def a_node(school: School, name: str) -> Trainer:
    return Trainer(school, a_key(f"node {name}"), a_key(f"wallet of {name}"))


def an_auditor(school: School, name: str, kind: type[Auditor] = Auditor, **how: Any) -> Auditor:
    return kind(school, a_key(f"validator {name}"), **how)


def the_founder(school: School) -> Auditor:
    return Auditor(school, a_key("founder"), founder_secret=1)


def a_village(
    school: School, nodes: Sequence[Trainer], auditors: Sequence[Auditor] = (), validators: int = VALIDATORS
) -> Village:
    """The auditors named come beside honest ones: a founder, and as many as make so many validators with stake."""
    honest = [an_auditor(school, str(place)) for place in range(validators - len(auditors))]
    return Village(school, list(nodes), [the_founder(school), *auditors, *honest])
