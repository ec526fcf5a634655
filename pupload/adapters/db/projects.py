"""Projects in the database."""

from collections.abc import Sequence

from pupload import ports
from pupload.adapters.db import codec, sealed, statements
from pupload.adapters.db.session import Readers, Session, Writer


class Projects:
    """`ports.FlowStore` in a database."""

    def __init__(self, writer: Writer, readers: Readers, seal: sealed.Seal) -> None:
        self._writer = writer
        self._readers = readers
        self._seal = seal

    async def put_project(self, project: ports.Project) -> None:
        """See `ports.FlowStore.put_project`."""

        def put(session: Session) -> None:
            row = sealed.owned(project.id, project.account)
            blob = self._seal.close(codec.PROJECT.encode(project), sealed.project(row))
            session.run(statements.PUT_PROJECT, {"id": row, "name": project.name, "blob": blob})

        await self._writer.do(put)

    async def projects(self, project_id: str) -> Sequence[ports.Project]:
        """See `ports.FlowStore.projects`. Raises `errors.Damaged`."""

        def find(session: Session) -> Sequence[ports.Project]:
            wanted = {"project": project_id, "behind": sealed.behind_owned(project_id)}
            rows = [row for row in session.run(statements.PROJECTS, wanted) if sealed.name(row[0]) == project_id]
            return [self._project(*row) for row in rows]

        return sorted(await self._readers.do(find), key=lambda project: project.account or 0)

    def _project(self, row: str, blob: object) -> ports.Project:
        what = sealed.project(row)
        return codec.PROJECT.decode(self._seal.open(blob, what), what)
