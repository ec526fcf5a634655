"""Projects in the database."""

from pupload import errors, ports
from pupload.adapters.db import codec, statements
from pupload.adapters.db.session import Readers, Session, Writer


class Projects:
    """`ports.FlowStore` in a database."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def put_project(self, project: ports.Project) -> None:
        """See `ports.FlowStore.put_project`."""

        def put(session: Session) -> None:
            row = {"id": project.id, "name": project.name, "blob": codec.PROJECT.encode(project)}
            session.run(statements.PUT_PROJECT, row)

        await self._writer.do(put)

    async def get_project(self, project_id: str) -> ports.Project:
        """See `ports.FlowStore.get_project`. Raises `errors.Damaged`."""

        def get(session: Session) -> ports.Project:
            row = session.run(statements.PROJECT, {"project": project_id}).fetchone()
            if row is None:
                raise errors.UnknownProject(name=project_id)
            return codec.PROJECT.decode(row[0], f"project {project_id}")

        return await self._readers.do(get)
