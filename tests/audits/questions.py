"""What an auditor would be asked about any segment of a round, without waiting for a draw."""

from chain.crypto.hashing import ZERO
from chain.plants import segment_mix
from chain.state import Claim, Round, claim_key, round_key
from tests.audits.replaying import Question, judge
from tests.audits.trainer import Trainer
from tests.audits.village import Village


def findings(village: Village, node: Trainer, number: int) -> list[int]:
    """Of an auditor that knows the node's secret, on every segment of a round."""
    claim = village.state.need(Claim, claim_key(number, node.key.node))
    segments = range(len(claim.states))
    return [
        judge(village.school, _question(village, node, claim, (number, at)), node.blobs.get, "").finding
        for at in segments
    ]


def _question(village: Village, node: Trainer, claim: Claim, place: tuple[int, int]) -> Question:
    number, segment = place
    of, work, school = village.state.need(Round, round_key(number)), node.work[number], village.school
    secret = node.secret(claim.plant_round) if claim.plant != ZERO else None
    return Question(
        node=node.key.node,
        round=number,
        segment=segment,
        mix=segment_mix(secret, of.mix, segment, school.params),
        base=school.weights(of.base),
        base_root=of.base.weights_root,
        before=work.parts[segment],
        after=work.parts[segment + 1],
        averages_steps=claim.averages_steps,
        distance=claim.distances[segment],
        payload_root=claim.payload_root,
        theta_root=claim.theta_root,
    )
