"""The one table of routes: the router, the OpenAPI document and `docs/api.md` follow it."""

from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion11, web

from node.api import account_questions, audit_schemas, questions, round_schemas, schemas
from node.api.account_routes import ACCOUNT_ROUTES
from node.api.desk import Asked, Desk, checked, encoded
from node.api.faults import Refusal, answer_of
from node.api.kept import LEDGER, MOMENT, WAITING
from node.api.operator_routes import OPERATOR_ROUTES
from node.api.page_routes import PAGE_ROUTES
from node.api.route import STREAM, TEXT, Route, get

ROUTES: tuple[Route, ...] = (
    get(
        "/v1/status",
        "status",
        "How the node is, in one flat object.",
        Desk.status,
        answer=schemas.Status,
        keep=MOMENT,
    ),
    get(
        "/v1/health",
        "health",
        "Whether the node works; 503 if no block has become final for long.",
        Desk.health,
        answer=schemas.Health,
        successes=(200, 503),
    ),
    get(
        "/v1/blocks",
        "blocks",
        "Finalized blocks, newest first.",
        Desk.blocks,
        keep=LEDGER,
        answer=schemas.Blocks,
        query=questions.Page,
    ),
    get(
        "/v1/blocks/{block}",
        "block",
        "A block by height or hash, with all that is in it.",
        Desk.block,
        keep=LEDGER,
        answer=schemas.Block,
        place=questions.BlockPath,
        refusals=(404,),
    ),
    Route(
        "POST",
        "/v1/transactions",
        "submit",
        "Hand in a signed transaction: 202 if it now waits for a block, 200 if it was known.",
        Desk.submit,
        answer=schemas.Transaction,
        body=questions.Submission,
        successes=(200, 202),
        refusals=(408, 413, 415, 422),
    ),
    get(
        "/v1/transactions/{id}",
        "transaction",
        "A transaction that is final or waits.",
        Desk.transaction,
        keep=WAITING,
        answer=schemas.Transaction,
        place=questions.TransactionPath,
        refusals=(404,),
    ),
    get(
        "/v1/validators",
        "validators",
        "The validator set of the running epoch, in its order.",
        Desk.validators,
        keep=LEDGER,
        answer=schemas.Validators,
        query=questions.ValidatorsPage,
    ),
    get("/v1/peers", "peers", "Who is connected, and who is banned and why.", Desk.peers, answer=schemas.Peers),
    get(
        "/v1/rounds",
        "rounds",
        "Rounds, newest first.",
        Desk.round_page,
        keep=MOMENT,
        answer=round_schemas.Rounds,
        query=questions.Page,
    ),
    get(
        "/v1/rounds/{round}",
        "round",
        "One round: phase, who has done what, payloads and their weights, votes, outcome, losses.",
        Desk.round,
        keep=MOMENT,
        answer=round_schemas.Round,
        place=questions.RoundPath,
        refusals=(404,),
    ),
    get(
        "/v1/proofs",
        "proofs",
        "Proofs of work, newest first, of a round, a node, or all.",
        Desk.proofs,
        keep=LEDGER,
        answer=schemas.Proofs,
        query=questions.ProofsPage,
    ),
    get(
        "/v1/rounds/{round}/proofs/{node}",
        "proof",
        "One node's work in a round that has ended: what was claimed, checked, by whom, and what is only claimed.",
        Desk.proof,
        keep=LEDGER,
        answer=audit_schemas.ExplainedProof,
        place=questions.ProofPath,
        refusals=(404, 409),
    ),
    get(
        "/v1/audits",
        "audits",
        "Audits: the open ones in the order of their draw, or all of one round.",
        Desk.audits,
        keep=LEDGER,
        answer=audit_schemas.Audits,
        query=questions.AuditsPage,
        refusals=(404,),
    ),
    get("/v1/losses", "losses", "Validation loss over all rounds.", Desk.losses, answer=schemas.Losses, keep=MOMENT),
    get(
        "/v1/events",
        "events",
        "What happens, as Server-Sent Events.",
        Desk.stream,
        query=account_questions.EventsOf,
        produces=STREAM,
        refusals=(503,),
    ),
    get("/metrics", "metrics", "For Prometheus.", Desk.show_metrics, produces=TEXT),
    get("/openapi.json", "openapi", "This document.", Desk.show_document),
    *ACCOUNT_ROUTES,
    *OPERATOR_ROUTES,
    *PAGE_ROUTES,
)


def add_routes(app: web.Application, desk: Desk) -> None:
    for route in ROUTES:
        app.router.add_route(route.method, route.path, served(route, desk), name=route.name, expect_handler=expected)


async def expected(request: web.Request) -> web.Response | None:
    """Let a client that waits for it send its body, as aiohttp does, and refuse other wishes in our shape."""
    if request.headers["Expect"].lower() != "100-continue":
        return answer_of(Refusal(417, "Expect may say 100-continue only", "expectation_failed"))
    if request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # The answer itself has not begun.
    return None


def served(route: Route, desk: Desk) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler as aiohttp wants it: who asks, and what, has been checked before it runs."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if route.is_operators:
            desk.control.check(request)
        fields = checked(route.place, dict(request.match_info)) | checked(route.query, asked_once(request))
        return await route.handler(desk, Asked(request, fields))

    async def serve_kept(request: web.Request) -> web.StreamResponse:
        asked, state = request.raw_path, desk.state_for(route.keep)
        body = desk.kept.find(asked, state)
        if body is not None:
            return encoded(body)
        response = await serve(request)
        if response.status == 200 and isinstance(response, web.Response) and isinstance(response.body, bytes):
            desk.kept.keep(asked, state, response.body, route.keep == MOMENT)
        return response

    return serve_kept if route.keep else serve


def asked_once(request: web.Request) -> dict[str, str]:
    """The query's fields. Raises Refusal 400 if one is there twice."""
    if len(set(request.query)) != len(request.query):
        raise Refusal(400, "a field of the query is there twice")
    return dict(request.query)
