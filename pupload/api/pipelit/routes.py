"""The Pipelit surface, gathered from its sections."""

from pupload.api import web as shared
from pupload.api.pipelit import (
    auth,
    batches,
    chat,
    credentials,
    edges,
    executions,
    memories,
    models,
    nodes,
    problems,
    schedules,
    socket,
    users,
    wire,
    workflows,
)
from pupload.api.web import Route

ROUTES: tuple[Route, ...] = (
    *auth.ROUTES,
    *workflows.ROUTES,
    *nodes.ROUTES,
    *edges.ROUTES,
    *chat.ROUTES,
    *executions.ROUTES,
    *credentials.ROUTES,
    *schedules.ROUTES,
    *memories.ROUTES,
    *batches.ROUTES,
    *users.ROUTES,
    *socket.ROUTES,
)
"""Of every section, in the contract's order."""

SURFACE = shared.Surface(
    name="pipelit",
    about="Accounts, workflows drawn in pieces, executions, chat, credentials, schedules and memory, as Pipelit's API "
    "describes them.",
    prefixes=(wire.PREFIX, "/ws"),
    routes=ROUTES,
    problem=problems.write,
    problem_model=models.Problem,
    always_asks=True,
)
"""What nobody else has under `/api/v1` is its to refuse."""
