"""Projects in the database."""

from pupload import errors, ports
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
            blob = self._seal.close(codec.PROJECT.encode(project), sealed.project(project.id))
            session.run(statements.PUT_PROJECT, {"id": project.id, "name": project.name, "blob": blob})

        await self._writer.do(put)

    async def get_project(self, project_id: str) -> ports.Project:
        """See `ports.FlowStore.get_project`. Raises `errors.Damaged`."""

        def get(session: Session) -> ports.Project:
            row = session.run(statements.PROJECT, {"project": project_id}).fetchone()
            if row is None:
                raise errors.UnknownProject(name=project_id)
            what = sealed.project(project_id)
            return codec.PROJECT.decode(self._seal.open(row[0], what), what)

        return await self._readers.do(get)
