"""A long history of fixed keys with everything that a ledger can live through, and the file that keeps it.

python -m tests.chain.golden_long write     # approve new bytes: write tests/vectors/golden_chain.bin.xz
python -m tests.chain.golden_long replay    # judge every block of the file; print what came of it, as JSON
"""

import json
import locale
import lzma
import os
import sys
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from chain.block import Block
from chain.codec import Hash, Var, Wire
from chain.crypto.votes import FINALIZE, NULLIFY, Certificate
from chain.genesis import parse_network
from chain.money import NEURO
from chain.state import HOLDING
from chain.transactions import (
    MultiTransfer,
    Payment,
    ServicePayment,
    Transfer,
    Unbond,
    Unjail,
    Withdraw,
)
from consensus.certificate import verify_certificate
from consensus.committee import Committee, Member
from node.backends import choose
from tests.builders import AUDITED, BOB, CAROL, Chain, a_network, a_registration, named
from tests.chain.played_chain import PlayedChain, stakers

FILE = Path(__file__).parents[1] / "vectors" / "golden_chain.bin.xz"
BLOCKS = 304
CREATED_MS = 1_780_000_000_000  # in May 2026
STAKE = 150 * NEURO


@dataclass(frozen=True, slots=True)
class History(Wire):
    """What the file holds: a network, its blocks, and the digest of the state records after the last one."""

    network: Annotated[bytes, Var(2**18)]
    blocks: Annotated[tuple[Annotated[bytes, Var(2**20)], ...], 4096]
    records: Hash


def records_digest(chain: Chain) -> bytes:
    """SHA-256 of all state records in order of their keys, each part after its length."""
    digest = sha256()
    for pair in sorted(chain.records.items()):
        for part in pair:
            digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


# ---- The history


def golden_history() -> PlayedChain:
    """Bootstrap, hand-over, stake alone; work and money; jail, two slashed validators, exits."""
    numbers = a_network(
        validators=4,
        name=b"golden",
        rate_batch_nanos=10 * NEURO,
        base_work_batches=40,
        vest_rounds=1,
        block_gas_maximum=600_000,
        lane_gas_maximum=60_000,
        stake_target_nanos=400 * NEURO,
        plant_basis_points=0,
        **AUDITED,
    )
    network = replace(numbers, created_ms=CREATED_MS)
    chain = PlayedChain(network, people=stakers(9))
    _begin_to_work(chain)
    chain.forgers.add(chain.people[4].node.node)
    _hand_over(chain)
    _jail_and_return(chain)
    _vote_twice(chain)
    _leave(chain)
    chain.until(lambda: chain.round.phase == HOLDING)  # a farewell can end a training phase before all have committed
    for person in chain.people[3:8]:
        chain.step(chain.farewell(person))
    chain.steps(BLOCKS - chain.height)
    assert chain.record_of(chain.people[4]).suspended_round > 0  # an audit has found its forgery
    return chain


def _begin_to_work(chain: PlayedChain) -> None:
    """Nodes register, two a block; the first rounds: closed, void without commits, void without agreement."""
    chain.unfinished, chain.disputed = {2}, {4}
    for first in range(0, len(chain.people), 2):
        pair = chain.people[first : first + 2]
        chain.step(*(a_registration(chain, wallet=p.wallet, node=p.node, intent=p is chain.people[0]) for p in pair))
    chain.until(lambda: all(chain.balance(p.wallet) > STAKE for p in chain.people[1:]), 120)


def _hand_over(chain: PlayedChain) -> None:
    """Six bond; each epoch lets some of them in, phantom power fades and is gone once they have stood long enough.

    Before that a founder gives up a view and finalizes it too: its key is banned, and there is no stake to take.
    """
    people, founder = chain.people, chain.network.validators[0].public_key
    for person in people[1:7]:
        chain.step(chain.bond(person, STAKE))
    chain.step(
        chain.signed(people[1], Transfer(BOB.address, 3 * NEURO), tip=7, max_fee=500),
        chain.signed(people[2], MultiTransfer((Payment(BOB.address, NEURO), Payment(CAROL.address, 2 * NEURO)))),
        chain.signed(people[3], Transfer(people[3].wallet.address, NEURO)),
        chain.signed(people[4], ServicePayment(CAROL.address, 12_345, named("a reference"))),
    )
    chain.step(chain.signed(people[1], chain.double_vote(founder, chain.epoch, kinds=(FINALIZE, NULLIFY))))
    chain.until(lambda: chain.stake_by(people[0]).bonded > 0)  # its node declared the intent
    chain.step(chain.farewell(people[8]))
    chain.until(lambda: chain.parent.phase == 2, 120)


def _jail_and_return(chain: PlayedChain) -> None:
    """One validator is away for an epoch, sits in jail, and comes back."""
    person = chain.people[6]
    chain.absent.add(person.validator)
    chain.until(lambda: chain.stake_by(person).jailed_until > 0)
    chain.absent.clear()
    chain.until(lambda: chain.epoch >= chain.stake_by(person).jailed_until)
    chain.step(chain.signed(person, Unjail()))
    chain.until(lambda: chain.place(person.validator) is not None)


def _vote_twice(chain: PlayedChain) -> None:
    """Two stakers sign both of two conflicting votes. One leaves before the report, and is found all the same.

    The offences lie within the time of one another, so both pay more than for one.
    """
    people = chain.people
    first, second = people[5], people[6]
    at = chain.epoch
    offences = [chain.double_vote(person.validator, at) for person in (first, second)]
    chain.step(chain.signed(first, Unbond(STAKE)))
    chain.until(lambda: bool(chain.stake_by(first).exits))
    chain.step(chain.signed(people[1], offences[0]))
    chain.step(chain.signed(people[2], offences[1]), chain.signed(people[3], Transfer(BOB.address, 1)))
    chain.until(lambda: all(chain.stake_by(person).bonded == 0 for person in (first, second)))


def _leave(chain: PlayedChain) -> None:
    """Part of a stake, then a whole one, comes back after the unbonding time; a newcomer takes the place."""
    people = chain.people
    chain.step(chain.bond(people[7], STAKE), chain.signed(people[1], Unbond(STAKE - 100 * NEURO)))
    chain.until(lambda: chain.place(people[7].validator) is not None)
    chain.step(chain.signed(people[2], Unbond(STAKE)))
    for person in people[1:3]:
        chain.until(lambda person=person: bool(chain.stake_by(person).exits))
        chain.until(lambda person=person: chain.epoch >= chain.stake_by(person).exits[0])
        chain.step(chain.signed(person, Withdraw()))


# ---- The file


def written(chain: Chain) -> bytes:
    """The bytes that the file holds, compressed."""
    blocks = tuple(applied.block.encode() for applied in chain.blocks)
    return History(chain.network.file_bytes(), blocks, records_digest(chain)).encode()


def stored() -> bytes:
    """The file's content."""
    return lzma.decompress(FILE.read_bytes())


def replayed(data: bytes) -> tuple[Chain, History]:
    """Judge every block and every certificate of a history. Raises at the first that is wrong."""
    history = History.decode(data)
    chain = Chain(parse_network(history.network))
    for encoded in history.blocks:
        block = Block.decode(encoded)
        if chain.height:
            members = chain.state.validators(chain.parent.epoch).members
            committee = Committee(tuple(Member(member.public_key, member.power) for member in members))
            certificate = Certificate.decode(block.body.parent_certificate)
            assert certificate.block_hash == chain.parent.hash
            verify_certificate(certificate, committee, chain.network.chain_id)
        chain._append(chain.judge(block))
    return chain, history


def told(data: bytes) -> dict[str, Any]:
    """What came of a replay, and under which circumstances."""
    chain, history = replayed(data)
    headers = b"".join(applied.block.header.encode() for applied in chain.blocks)
    return {
        "python": ".".join(map(str, sys.version_info[:2])),
        "hash": hash("neuroshard"),
        "locale": locale.setlocale(locale.LC_ALL, ""),
        "year": time.gmtime(time.time()).tm_year,
        "height": chain.height,
        "state_root": chain.parent.state_root.hex(),
        "headers": sha256(headers).hexdigest(),
        "records": records_digest(chain).hex(),
        "as stored": records_digest(chain) == history.records and written(chain) == data,
    }


def main() -> None:
    choose(os.environ)
    if sys.argv[1:] == ["write"]:
        FILE.write_bytes(lzma.compress(written(golden_history()), preset=9))
    elif sys.argv[1:] == ["replay"]:
        print(json.dumps(told(stored())))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
