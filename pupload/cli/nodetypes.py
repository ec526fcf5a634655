"""Commands on node types: list them, and build their images."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pupload import building, errors, offline
from pupload.api.flow import wire
from pupload.cli import failures, project, serving
from pupload.cli.failures import Usage
from pupload.cli.output import Output
from pupload.domain import references
from pupload.domain.nodedef import NodeDef


def show(out: Output, *, start: Path) -> int:
    """Lists the node types that flows can use here: the project's, then those that ship with pupload."""
    own = project.load(start).definitions if project.find_root(start) else ()
    found = [(each.value, str(each.path)) for each in own]
    known = {each.uses for each, _ in found}
    shipped = asyncio.run(offline.make_catalogue(serving.settings()).all())
    found += [(each, "pupload") for each in shipped if each.uses not in known]
    if out.as_json:
        out.json([{**wire.write_definition(each), "Source": source} for each, source in found])
    out.table(
        ("NODE", "IMAGE", "TIER", "FROM"), [(each.uses, _image(each), each.tier, source) for each, source in found]
    )
    return failures.OK


def _image(definition: NodeDef) -> str:
    flag = references.flag_of(definition.image)
    return definition.image if flag is None else f"{references.default_of(definition) or 'any'} (flag {flag})"


# ── Folders ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Home:
    """A node type that has a folder."""

    folder: Path
    definition: NodeDef

    @property
    def image(self) -> str:
        """What is built in the folder, and what a node runs that chooses no other."""
        return references.default_of(self.definition)


def folders(start: Path) -> Mapping[str, Path]:
    """Folders by `publisher/name`: those that ship, and the project's over them."""
    root = project.find_root(start)
    places = [offline.shipped_nodes(), *([root / "nodes"] if root else [])]
    return {
        f"{path.parent.parent.name}/{path.parent.name}": path.parent
        for place in places
        for path in sorted(place.glob("*/*/node.yaml"))
    }


def chosen(names: Sequence[str], there: Mapping[str, Path], what: str) -> Sequence[Home]:
    """Those of `names`, `pupload/` left out or not; all without a name. Raises `Usage`."""
    wanted = [name if "/" in name else f"pupload/{name}" for name in names] or list(there)
    for name in wanted:
        if name not in there:
            raise Usage(reason=f"there is no node type {name} with {what}; there is: {', '.join(there) or 'none'}")
    homes = [Home(there[name], offline.read_definition(there[name] / "node.yaml")) for name in wanted]
    for home in homes:
        if not home.image:
            raise errors.Malformed(reason=f"{home.folder / 'node.yaml'} names no Image, or a flag without a default")
    return homes


# ── build ────────────────────────────────────────────────────────────────────────────────────────────────────────


def build(out: Output, names: Sequence[str], *, start: Path) -> int:
    """Builds the images of node types that come with a Dockerfile; of all without a name."""
    there = {name: folder for name, folder in folders(start).items() if (folder / "Dockerfile").is_file()}
    homes = chosen(names, there, "a Dockerfile")
    if not homes:
        raise Usage(reason="there is nothing to build: no nodes/<publisher>/<name>/Dockerfile")
    for home in homes:
        out.say(f"building {home.definition.uses} as {home.image}")
        asyncio.run(build_one(out, home))
    built = [{"Node": home.definition.uses, "Image": home.image} for home in homes]
    if out.as_json:
        out.json(built)
    out.say(f"built {', '.join(each['Image'] for each in built)}")
    return failures.OK


async def build_one(out: Output, home: Home) -> None:
    """Builds the image of one, telling of it beside the result."""
    await building.build_node(
        home.folder, home.image, lambda line: out.note(f"  {line}"), base=offline.shipped_nodes() / "base"
    )
