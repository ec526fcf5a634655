"""
S3's XML: a writer that survives every key, and a reader that trusts nobody.

A document is plain data: an element is `(name, text)` or `(name, [elements])`. Keys may hold characters that XML 1.0
has no way to write; they are written as character references, as AWS does (a client that must read them asks for
`encoding-type=url`). The reader refuses document types, and with them entities of every kind.
"""

import re
from collections.abc import Iterator, Sequence
from xml.parsers import expat

from pupload.adapters.s3.embedded.refusals import Refusal

Element = tuple[str, str | Sequence["Element"]]

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_DEEPEST = 8
_AWKWARD = re.compile('[&<>"\x00-\x1f\x7f\ufffe\uffff]')
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def write(name: str, content: str | Sequence[Element], *, namespace: str = NAMESPACE) -> bytes:
    """The document, UTF-8."""
    pieces = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    _write(pieces, name, content, f' xmlns="{namespace}"' if namespace else "")
    return "".join(pieces).encode()


def approximate(key: str) -> str:
    """A key where it is told by the way: what XML cannot hold is replaced, so that every client can read the rest."""
    return _UNWRITABLE.sub("\ufffd", key)


def _write(pieces: list[str], name: str, content: str | Sequence[Element], attributes: str = "") -> None:
    pieces.append(f"<{name}{attributes}>")
    if isinstance(content, str):
        pieces.append(_AWKWARD.sub(_escape, content))
    else:
        for child, inner in content:
            _write(pieces, child, inner)
    pieces.append(f"</{name}>")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _NAMED.get(character) or f"&#x{ord(character):x};"


class Node:
    """An element as it was read: names without their namespace, attributes left out."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: list[Node] = []

    def all(self, name: str) -> Iterator["Node"]:
        """The children of that name, in order."""
        return (child for child in self.children if child.name == name)

    def get(self, name: str) -> str | None:
        """The text of the first child of that name, or None."""
        return next((child.text for child in self.all(name)), None)

    def must(self, name: str) -> str:
        """The same. Raises `Refusal` MalformedXML where there is none."""
        text = self.get(name)
        if text is None:
            raise Refusal("MalformedXML", f"<{self.name}> needs <{name}>.")
        return text


def read(document: bytes, root: str) -> Node:
    """The root element, which must be named so. Raises `Refusal` MalformedXML."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError) as error:
        raise Refusal("MalformedXML") from error
    found = reader.top.children[0]
    if found.name != root:
        raise Refusal("MalformedXML", f"The document must be a <{root}>.")
    return found


def _refuse_doctype(*_: object) -> None:
    raise Refusal("MalformedXML", "Document types are not allowed.")


class _Reader:
    def __init__(self) -> None:
        self.top = Node("")
        self._open = [self.top]

    def start(self, name: str, _attributes: object) -> None:
        if len(self._open) > _DEEPEST:
            raise Refusal("MalformedXML", "The document is nested too deeply.")
        node = Node(name.rpartition(" ")[2])
        self._open[-1].children.append(node)
        self._open.append(node)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].text += data
