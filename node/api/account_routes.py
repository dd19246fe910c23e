"""Routes for wallets: what an address owns and earned, its history, its nodes, and who owns most."""

import json

from aiohttp import web

from node.api import account_questions, account_schemas, schemas
from node.api.account_answers import account_of, earnings_of
from node.api.block_answers import transactions_page
from node.api.desk import Asked, Desk, encoded
from node.api.history_answers import history_page
from node.api.kept import LEDGER, WAITING
from node.api.node_answers import node_of, nodes_page
from node.api.route import Route, get


async def account(desk: Desk, asked: Asked) -> web.StreamResponse:
    address = asked.fields["address"]
    # The mempool changes: it is looked at here, and not in the thread that reads the ledger.
    waiting = [(each.nonce, each.id) for each in desk.node.mempool.waiting_of(address)]
    return encoded(await desk.reads.encoded(lambda store: account_of(store, address, waiting)))


async def transactions(desk: Desk, asked: Asked) -> web.StreamResponse:
    return encoded(await desk.reads.encoded(lambda store: transactions_page(store, **asked.fields)))


async def history(desk: Desk, asked: Asked) -> web.StreamResponse:
    return encoded(await desk.reads.encoded(lambda store: history_page(store, **asked.fields)))


async def earnings(desk: Desk, asked: Asked) -> web.StreamResponse:
    return encoded(await desk.reads.encoded(lambda store: earnings_of(store, **asked.fields)))


async def nodes(desk: Desk, asked: Asked) -> web.StreamResponse:
    return encoded(await desk.reads.encoded(lambda store: nodes_page(store, **asked.fields)))


async def node(desk: Desk, asked: Asked) -> web.StreamResponse:
    return encoded(await desk.reads.encoded(lambda store: node_of(store, asked.fields["node"])))


async def rich_list(desk: Desk, asked: Asked) -> web.StreamResponse:
    page = await desk.rich_list.page(desk.reads, desk.node.facts.tip.height, **asked.fields)
    return encoded(json.dumps(page).encode())


ACCOUNT_ROUTES: tuple[Route, ...] = (
    get(
        "/v1/accounts/{address}",
        "account",
        "What an address owns and has at stake, with proofs against the last finalized header.",
        account,
        keep=WAITING,
        answer=account_schemas.Account,
        place=account_questions.AccountPath,
    ),
    get(
        "/v1/accounts/{address}/transactions",
        "account_transactions",
        "What an address sent or received, newest first.",
        transactions,
        keep=LEDGER,
        answer=schemas.Transactions,
        place=account_questions.AccountPath,
        query=account_questions.TransactionsPage,
    ),
    get(
        "/v1/accounts/{address}/history",
        "account_history",
        "What happened to an address, newest first: payments, rewards, stake, and what was lost.",
        history,
        keep=LEDGER,
        answer=account_schemas.History,
        place=account_questions.AccountPath,
        query=account_questions.HistoryPage,
    ),
    get(
        "/v1/accounts/{address}/earnings",
        "account_earnings",
        "What an address earned by day and kind.",
        earnings,
        keep=LEDGER,
        answer=account_schemas.Earnings,
        place=account_questions.AccountPath,
        query=account_questions.Days,
    ),
    get(
        "/v1/accounts/{address}/nodes",
        "account_nodes",
        "The nodes that a wallet registered, by id.",
        nodes,
        keep=LEDGER,
        answer=account_schemas.Nodes,
        place=account_questions.AccountPath,
        query=account_questions.NodesPage,
    ),
    get(
        "/v1/nodes/{node}",
        "node",
        "A node by its id or the beginning of it: its wallet, what audits made of it, what vests.",
        node,
        keep=LEDGER,
        answer=account_schemas.Node,
        place=account_questions.NodePath,
        refusals=(404, 409),
    ),
    get(
        "/v1/rich-list",
        "rich_list",
        "Who owns most, by all that they own.",
        rich_list,
        answer=account_schemas.RichList,
        query=account_questions.RichPage,
    ),
)
