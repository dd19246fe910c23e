"""Who gets which message of consensus: votes go to the committee, certificates and proposals to all that follow."""

from collections.abc import Sequence

from consensus.messages import Certificate, CertificateRequest, Message, Proposal, Vote
from network.kinds import CERTIFICATE, CERTIFICATE_REQUEST, VOTE
from node.block_exchange import BlockExchange
from node.candidates import Candidates
from node.runtime import Runtime
from node.standing import Standing

ASKED = 4  # peers that are asked for missing certificates at a time
KINDS = {Vote: VOTE, Certificate: CERTIFICATE, CertificateRequest: CERTIFICATE_REQUEST}


class Voice:
    """Messages out."""

    def __init__(self, runtime: Runtime, standing: Standing, blocks: BlockExchange, candidates: Candidates) -> None:
        self.runtime, self.standing, self.blocks, self.candidates = runtime, standing, blocks, candidates

    def broadcast(self, message: Message) -> None:
        match message:
            case Vote():
                self.send(self.standing.members(), message)
            case Proposal():
                block = self.candidates.find(message.block_hash)
                if block is not None:
                    self.blocks.propose(message, block)
            case CertificateRequest():
                peers = self.standing.full_peers()
                self.send(self.runtime.random.sample(peers, min(ASKED, len(peers))), message)
            case Certificate():
                self.send(self.standing.full_peers(), message)

    def send(self, keys: Sequence[bytes], message: Message) -> None:
        payload = message.encode()
        for key in keys:
            self.runtime.send(key, KINDS[type(message)], payload)
