"""The Studio surface, gathered from its parts."""

from pupload.api import web as shared
from pupload.api.studio import models, problems, projects, questions, stream

ROUTES = (*projects.ROUTES, *questions.ROUTES, *stream.ROUTES)

SURFACE = shared.Surface(
    name="studio",
    about="Projects are run, uploaded to and looked after, over REST, GraphQL and a WebSocket.",
    prefixes=("/api/projects", questions.PATH, "/api/health", "/ws/execution"),
    routes=ROUTES,
    problem=problems.write,
    problem_model=models.Problem,
)
