"""Chat with a workflow: what is said starts an execution, whose result is the reply."""

from datetime import UTC, datetime

from aiohttp import web

from pupload import errors, ports
from pupload.api.pipelit import bodies, models, wire
from pupload.api.pipelit.bodies import Body
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import ids
from pupload.domain.access import Permission
from pupload.domain.thread import Message
from pupload.service import asking

_USUAL = 10
"""Messages of a history."""

# ── What requests and answers hold ───────────────────────────────────────────────────────────────────────────────


class ChatMessage(Body):
    """What is said, and the chat trigger that takes it, where there are several."""

    text: str
    trigger_node_id: str | None = None


class ChatStarted(models.Answer, frozen=True, kw_only=True):
    """The execution that what was said has started. Its reply is not there yet: it comes into the history."""

    execution_id: str
    status: str
    response: str


class ChatLine(models.Answer, frozen=True, kw_only=True):
    """Something that was said, by `user` or `assistant`."""

    role: str
    text: str
    timestamp: models.Moment


class ChatHistory(models.Answer, frozen=True, kw_only=True):
    """The last that was said, the oldest first; `has_more` says whether something was said before."""

    messages: list[ChatLine]
    thread_id: str
    has_more: bool


# ── Routes ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def say(request: web.Request) -> web.Response:
    asked = await bodies.read(request, ChatMessage)
    chat = request.app[SERVICES].chat
    view = await chat.say(request.match_info["slug"], asked.text, trigger=asked.trigger_node_id or None)
    return wire.answer(ChatStarted(execution_id=ids.uuid_of(view.run.id), status="pending", response=""))


async def history(request: web.Request) -> web.Response:
    limit = min(bodies.whole_number(request, "limit", default=_USUAL), bodies.MOST)
    before = _moment(request.query.get("before", ""))
    drawing, said = await request.app[SERVICES].chat.history(request.match_info["slug"], before=before, limit=limit)
    return wire.answer(_history(drawing.id, said))


async def clear(request: web.Request) -> web.Response:
    await request.app[SERVICES].chat.clear(request.match_info["slug"])
    return wire.nothing()


def _moment(text: str) -> datetime | None:
    """When; without a zone it is UTC. Raises what is answered with 400."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise errors.Malformed(reason="before is no time: write it as 2026-03-03T12:00:00") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _history(drawing: int, said: ports.Said) -> ChatHistory:
    return ChatHistory(
        messages=[_line(each) for each in said.messages],
        thread_id=f"{asking.caller().user}:{drawing}",
        has_more=said.more,
    )


def _line(this: Message) -> ChatLine:
    return ChatLine(role=this.role.value, text=this.text, timestamp=wire.moment(this.at))


_PATH = f"{wire.PREFIX}/workflows/{{slug}}/chat"

ROUTES = (
    Route(
        method="POST",
        path=_PATH,
        handler=say,
        needs=Permission.FLOWS_RUN,
        summary="Say something to a workflow: an execution of it is started",
        reads=ChatMessage,
        answers=ChatStarted,
        optional_body=False,
    ),
    Route(
        method="GET",
        path=f"{_PATH}/history",
        handler=history,
        needs=Permission.RUNS_VIEW,
        summary="What the caller and the workflow said to each other",
        answers=ChatHistory,
        parameters=(
            Parameter(name="limit", type="integer", about="So many messages at most: 10 when not given."),
            Parameter(name="before", about="Only what was said before this time, ISO 8601; without a zone it is UTC."),
        ),
    ),
    Route(
        method="DELETE",
        path=f"{_PATH}/history",
        handler=clear,
        needs=Permission.FLOWS_RUN,
        summary="Forget what the caller and the workflow said to each other",
        status=204,
    ),
)
