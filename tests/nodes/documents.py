"""
Documents made byte by byte: PDF files and office packages, whole ones and ones that are up to something.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

SAMPLES = Path("nodes/pupload")
LETTER = SAMPLES / "pdf-text/sample/letter.pdf"


def pdf(*objects: bytes, root: int = 1) -> bytes:
    """A PDF of these objects, numbered from 1, with a table of where they are."""
    out, places = b"%PDF-1.7\n", []
    for at, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (at, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer <</Size %d /Root %d 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, root, start)


def stream(data: bytes, *, entries: bytes = b"", packed: bool = False) -> bytes:
    """The body of a stream object."""
    data, entries = (zlib.compress(data, 9), entries + b"/Filter/FlateDecode") if packed else (data, entries)
    return b"<</Length %d %s>>stream\n%s\nendstream" % (len(data), entries, data)


def one_page(
    *,
    content: bytes = b"BT /F1 24 Tf 20 100 Td (Forty crates) Tj ET",
    page: bytes = b"",
    catalog: bytes = b"",
    box: str = "0 0 300 200",
    count: int = 1,
    more: Sequence[bytes] = (),
) -> bytes:
    """A PDF of one page; `page` and `catalog` are further entries, `more` objects from number 6 on."""
    return pdf(
        b"<</Type/Catalog/Pages 2 0 R %s>>" % catalog,
        b"<</Type/Pages/Kids[3 0 R]/Count %d>>" % count,
        b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>/XObject<</X 6 0 R>>>>%s>>"
        % (box.encode(), page),
        stream(content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *(more or (b"null",)),
    )


def tree_of_itself(levels: int, kids: int) -> bytes:
    """A PDF whose page tree names the same branches again and again: kids ** levels pages from a few lines."""
    branches = [
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join([b"%d 0 R" % (at + 3)] * kids), kids ** (levels - at))
        for at in range(levels)
    ]
    page = b"<</Type/Page/MediaBox[0 0 9 9]>>"
    return pdf(b"<</Type/Catalog/Pages 2 0 R>>", *branches, page)


ACTING = one_page(
    catalog=b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>/Names<</EmbeddedFiles<</Names[(a)7 0 R]>>>>",
    page=b"/AA<</O<</S/Launch/F(calc.exe)>>>>/Annots["
    b"<</Type/Annot/Subtype/Link/Rect[0 0 99 99]/A<</S/L#61unch/F(calc.exe)>>>>"
    b"<</Type/Annot/Subtype/Link/Rect[0 0 99 99]/A 8 0 R>>"
    b"<</Type/Annot/Subtype/Link/Rect[0 0 99 99]/A<</S/URI/URI(https://example.org/)>>>>"
    b"<</Type/Annot/Subtype/FileAttachment/Rect[0 0 9 9]/FS 7 0 R>>]",
    content=b"BT /F1 24 Tf 20 100 Td (/JavaScript is a word) Tj ET",
    more=[
        stream(b"", entries=b"/F(/etc/passwd)"),
        b"<</Type/Filespec/F(evil.exe)/EF<</F 9 0 R>>>>",
        b"<</S 10 0 R/JS(app.alert\\(2\\))>>",
        stream(b"MZ evil"),
        b"/JavaScript",
    ],
)
"""Scripts, launches and embedded files in place, in objects of their own, and under names in disguise."""


def package(parts: Mapping[str, bytes | str]) -> bytes:
    """A zip archive of these parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


def parts_of(path: Path) -> dict[str, bytes]:
    """The parts of a package, to change some."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def odt(body: str, *, before: str = "", extra: Mapping[str, bytes | str] | None = None) -> bytes:
    """An OpenDocument text with this body, in which every prefix that matters is known."""
    spaces = {
        "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
        "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
        "draw": "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0",
        "svg": "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0",
        "script": "urn:oasis:names:tc:opendocument:xmlns:script:1.0",
        "xlink": "http://www.w3.org/1999/xlink",
        "x": "http://www.w3.org/1999/xlink",
    }
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in spaces.items())
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {declared} office:version="1.2">'
        f"{before}<office:body><office:text>{body}</office:text></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.text"
    files = {"/": kind, "content.xml": "text/xml", **dict.fromkeys(extra or {}, "text/xml")}
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="{of}"/>' for name, of in files.items()
    )
    manifest = (
        '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest manifest:version="1.2" '
        f'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{entries}</manifest:manifest>'
    )
    return package({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": manifest, **(extra or {})})
