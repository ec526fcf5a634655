"""
The node types for documents, on files that are up to something.
"""

import base64
import io
import re
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from tests.nodes import documents, house, pictures

WORDS = b"These are words.\n"
HALF = documents.LETTER.read_bytes()[:9000]
SECRET_LINE = "root:x:0:0"


def text_of(pdf: bytes, scratch: Path) -> str:
    """What stands in a PDF."""
    outcome = house.run("pdf-text", scratch, {"document": pdf})
    assert outcome.exit_code == 0, outcome.complaint
    return outcome.file("text").decode()


def _unpacked(pdf: bytes) -> bytes:
    """All of a PDF with its compressed streams laid open."""
    texts = [pdf]
    for found in re.finditer(rb"stream\r?\n", pdf):
        try:
            texts.append(zlib.decompressobj().decompress(pdf[found.end() :], 1 << 22))
        except zlib.error:
            continue
    return b"\n".join(texts)


# ── PDF ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.engine
@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"", "not a PDF", id="nothing"),
        pytest.param(b"\n" + documents.one_page(), "not a PDF", id="a-pdf-behind-something"),
        pytest.param(b"GIF89a" + documents.one_page(), "not a PDF", id="two-in-one"),
        pytest.param(HALF, "damaged", id="half"),
        pytest.param(b"%PDF-1.7\n" + bytes(range(256)) * 20, "damaged", id="noise"),
        pytest.param(documents.one_page(count=2_000_000_000), "damaged", id="two-milliards-of-pages"),
        pytest.param(documents.one_page(count=-1), "", id="less-than-no-pages"),
    ],
)
@pytest.mark.parametrize("name", ["pdf-text", "pdf-pages"])
def test_what_is_no_whole_pdf_is_refused_in_a_sentence(name: str, data: bytes, says: str, tmp_path: Path) -> None:
    outcome = house.run(name, tmp_path, {"document": data})
    assert (outcome.exit_code, outcome.files) == (65, {})
    assert says in outcome.complaint


@pytest.mark.engine
@pytest.mark.parametrize("name", ["pdf-text", "pdf-pages"])
def test_scripts_launches_and_streams_elsewhere_do_nothing(name: str, tmp_path: Path) -> None:
    outcome = house.run(name, tmp_path, {"document": documents.ACTING})
    assert outcome.exit_code == 0, outcome.complaint
    assert SECRET_LINE.encode() not in b"".join(outcome.files.values())
    if name == "pdf-text":
        assert outcome.file("text").strip() == b"/JavaScript is a word"


@pytest.mark.engine
def test_a_stream_that_unpacks_to_a_hundred_megabytes_is_read_and_forgotten(tmp_path: Path) -> None:
    bomb = documents.one_page(content=b"q /X Do Q", more=[documents.stream(bytes(100_000_000), packed=True)])
    outcome = house.run("pdf-text", tmp_path, {"document": bomb}, memory="512m")
    assert outcome.exit_code in (0, 65, 71), outcome.complaint


@pytest.mark.engine
def test_a_scan_has_no_text_and_the_log_says_so(tmp_path: Path) -> None:
    outcome = house.run("pdf-text", tmp_path, {"document": documents.one_page(content=b"0 0 99 99 re f")})
    assert (outcome.exit_code, outcome.file("text").strip()) == (0, b"")
    assert "pupload/ocr reads them" in outcome.complaint


@pytest.mark.engine
@pytest.mark.parametrize(
    ("box", "flags", "code", "says"),
    [
        ("0 0 1000000 1000000", {}, 65, "page 1 would be 2083334 x 2083334 pixels"),
        ("0 0 99999999999999999999 9", {}, 65, ""),
        ("0 0 14400 14400", {"dpi": "600"}, 65, "ask for fewer dpi"),
        ("0 0 8000 8000", {"dpi": "100"}, 71, "more memory than this tier has"),
        ("0 0 0 0", {}, 0, ""),
        ("0 0 3 14400", {"longest": "64"}, 0, ""),
    ],
)
def test_a_huge_page_is_refused_before_it_is_drawn(
    box: str, flags: dict[str, str], code: int, says: str, tmp_path: Path
) -> None:
    outcome = house.run("pdf-pages", tmp_path, {"document": documents.one_page(box=box)}, flags=flags, memory="512m")
    assert outcome.exit_code == code, outcome.complaint
    assert says in outcome.complaint
    assert bool(outcome.many("pages")) == (code == 0)


@pytest.mark.engine
def test_a_picture_in_a_page_larger_than_memory_ends_in_a_sentence(tmp_path: Path) -> None:
    image = documents.stream(
        bytes(1000),
        entries=b"/Type/XObject/Subtype/Image/Width 60000/Height 2000/ColorSpace/DeviceRGB/BitsPerComponent 8",
        packed=True,
    )
    page = documents.one_page(content=b"q 300 0 0 200 0 0 cm /X Do Q", more=[image])
    outcome = house.run("pdf-pages", tmp_path, {"document": page}, memory="512m")
    assert outcome.exit_code in (0, 65, 71), outcome.complaint


@pytest.mark.engine
def test_a_page_tree_that_names_itself_ends(tmp_path: Path) -> None:
    many = documents.tree_of_itself(9, 10)
    for name, port in (("pdf-text", "document"), ("pdf-pages", "document")):
        outcome = house.run(name, tmp_path, {port: many})
        assert outcome.exit_code == 65, outcome.complaint
    outcome = house.run("pdf-merge", tmp_path, {"documents": {"a.pdf": many}}, memory="512m")
    assert outcome.exit_code in (65, 71), outcome.complaint


@pytest.mark.engine
@pytest.mark.parametrize(
    ("name", "flag", "value"),
    [
        ("pdf-text", "layout", "raw; id"),
        ("pdf-text", "first", "0"),
        ("pdf-text", "last", "1e3"),
        ("pdf-text", "page_breaks", "perhaps"),
        ("pdf-pages", "dpi", "9999"),
        ("pdf-pages", "format", "svg"),
        ("pdf-pages", "longest", "-1"),
        ("pdf-pages", "quality", "101"),
        ("pdf-pages", "gray", "$(id)"),
    ],
)
def test_a_wrong_flag_is_named(name: str, flag: str, value: str, tmp_path: Path) -> None:
    outcome = house.run(name, tmp_path, {"document": documents.LETTER}, flags={flag: value})
    assert (outcome.exit_code, outcome.files) == (64, {})
    assert outcome.complaint.startswith(f"flag {flag} must be ")


# ── Merging ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.engine
def test_what_acts_is_disabled_and_links_stay(tmp_path: Path) -> None:
    files: dict[str, house.Bytes] = {"a.pdf": documents.ACTING, "b.pdf": documents.LETTER}
    outcome = house.run("pdf-merge", tmp_path, {"documents": files})
    assert outcome.exit_code == 0, outcome.complaint
    assert "were taken out" in outcome.complaint
    merged = outcome.file("merged")
    assert house.pages(merged) == 3
    seen = _unpacked(merged)
    for word in (b"/JS", b"/S/JavaScript", b"/Launch", b"/AA", b"/EF", b"/OpenAction", b"(/etc/passwd)/"):
        assert word + b" " not in seen.replace(b"<<", b" <<"), word
        assert word + b"<" not in seen, word
        assert word + b"(" not in seen, word
    assert b"https://example.org/" in seen
    assert "/JavaScript is a word" in text_of(merged, tmp_path)


@pytest.mark.engine
def test_names_of_files_are_only_names(tmp_path: Path) -> None:
    letter = documents.LETTER.read_bytes()
    inputs = {"documents": {"--help": letter, "-o x $(id) 'q'.pdf": letter, "@argument": letter, "z\n.pdf": letter}}
    outcome = house.run("pdf-merge", tmp_path, inputs)
    assert outcome.exit_code == 0, outcome.complaint
    assert house.pages(outcome.file("merged")) == 8


@pytest.mark.engine
@pytest.mark.parametrize(
    ("second", "says"),
    [
        (b"%PDF-1.4\n" + WORDS, "b.pdf cannot be read"),
        (b"", "b.pdf is not a PDF"),
        (documents.one_page(count=2_000_000_000), "b.pdf has no number of pages that makes sense"),
        (documents.one_page(count=30_000), "more than 20000 pages"),
    ],
)
def test_the_file_that_spoils_it_is_named(second: bytes, says: str, tmp_path: Path) -> None:
    outcome = house.run("pdf-merge", tmp_path, {"documents": {"a.pdf": documents.LETTER, "b.pdf": second}})
    assert (outcome.exit_code, outcome.files) == (65, {})
    assert says in outcome.complaint


@pytest.mark.engine
def test_nothing_to_merge_is_said(tmp_path: Path) -> None:
    outcome = house.run("pdf-merge", tmp_path, {"documents": {}})
    assert (outcome.exit_code, outcome.files) == (65, {})
    assert "nothing to merge" in outcome.complaint


# ── Reading pictures ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.engine
@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        pytest.param(b"", 65, "not a picture", id="nothing"),
        pytest.param(b"/etc/passwd\n", 65, "not a picture", id="a-list-of-files"),
        pytest.param(b"http://127.0.0.1/\n", 65, "not a picture", id="an-address"),
        pytest.param(pictures.SVG, 65, "not a picture", id="svg"),
        pytest.param(b"BM" + bytes(60), 65, "not a picture", id="bmp"),
        pytest.param(b"P6\n9 9 255\n" + bytes(243), 65, "not a picture", id="pnm"),
        pytest.param(pictures.png(20_000, 20_000, rows=1), 65, "20000 x 20000 pixels", id="huge"),
        pytest.param(pictures.png(40_000, 20, rows=1), 65, "40000 x 20 pixels", id="wide"),
        pytest.param(pictures.png(9_000, 9_000, rows=1), 71, "more memory than this tier has", id="large"),
        pytest.param(b"II*\0\x08\0\0\0" + bytes(40), 65, "damaged", id="a-tiff-of-nothing"),
        pytest.param(b"\xff\xd8\xff" + WORDS, 65, "damaged", id="words-behind-the-mark-of-a-jpeg"),
        pytest.param(b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0", 65, "65535 x 65535", id="huge-gif"),
        pytest.param(documents.one_page(box="0 0 9000 9000"), 65, "37500 x 37500 pixels", id="a-huge-page"),
        pytest.param(HALF, 65, "damaged", id="half-a-pdf"),
    ],
)
def test_what_cannot_be_read_as_a_picture_is_refused(data: bytes, code: int, says: str, tmp_path: Path) -> None:
    outcome = house.run("ocr", tmp_path, {"picture": data}, memory="900m")
    assert (outcome.exit_code, outcome.files) == (code, {}), outcome.complaint
    assert says in outcome.complaint


def tiff_of(pages: int, *, round_and_round: bool = False) -> bytes:
    """A TIFF that promises many pages, the last of which may lead to the first."""
    out = bytearray(b"II*\0\x08\0\0\0")
    for at in range(pages):
        following = 8 + 30 * (at + 1) if at < pages - 1 else 8 if round_and_round else 0
        out += struct.pack("<H", 2) + struct.pack("<HHII", 256, 4, 1, 9) + struct.pack("<HHII", 257, 4, 1, 9)
        out += struct.pack("<I", following)
    return bytes(out)


@pytest.mark.engine
def test_a_tiff_of_very_many_pages_or_in_a_circle_ends(tmp_path: Path) -> None:
    outcome = house.run("ocr", tmp_path, {"picture": tiff_of(5_000)})
    assert (outcome.exit_code, outcome.files) == (65, {})
    assert "more than 500 pages" in outcome.complaint
    outcome = house.run("ocr", tmp_path, {"picture": tiff_of(3, round_and_round=True)})
    assert (outcome.exit_code, outcome.files) == (65, {})
    assert "damaged" in outcome.complaint


@pytest.mark.engine
@pytest.mark.parametrize(("flag", "value"), [("languages", "eng+/etc/passwd"), ("layout", "3 -c x=y"), ("dpi", "9")])
def test_a_wrong_flag_of_ocr_is_named(flag: str, value: str, tmp_path: Path) -> None:
    outcome = house.run("ocr", tmp_path, {"picture": pictures.png(9, 9)}, flags={flag: value})
    assert (outcome.exit_code, outcome.files) == (64, {})
    assert outcome.complaint.startswith(f"flag {flag} must be ")


# ── Office ───────────────────────────────────────────────────────────────────────────────────────────────────────

DOCX = documents.SAMPLES / "office-to-pdf/sample/letter.docx"

MACRO = """<?xml version="1.0" encoding="UTF-8"?>
<script:module xmlns:script="http://openoffice.org/2000/script" script:name="M" script:language="StarBasic">
Sub Main
  ThisComponent.Text.insertString(ThisComponent.Text.End, "MACRO RAN", False)
End Sub
</script:module>"""
LIBRARY = """<?xml version="1.0"?><library:library xmlns:library="http://openoffice.org/2000/library"
 library:name="Standard" library:readonly="false"><library:element library:name="M"/></library:library>"""
LIBRARIES = """<?xml version="1.0"?><library:libraries xmlns:library="http://openoffice.org/2000/library">
<library:library library:name="Standard" library:link="false"/></library:libraries>"""
ON_LOAD = (
    '<office:scripts><office:event-listeners><script:event-listener script:language="ooo:script" '
    'script:event-name="dom:load" xlink:type="simple" '
    'xlink:href="vnd.sun.star.script:Standard.M.Main?language=Basic&amp;location=document"/>'
    "</office:event-listeners></office:scripts>"
)
SECTION = (
    '<text:section text:name="s{0}"><text:section-source xlink:type="simple" {1} text:filter-name="Text"/>'
    "<text:p>the old text</text:p></text:section>"
)


@pytest.mark.engine
def test_a_document_reaches_nothing_outside_of_it_and_runs_nothing(tmp_path: Path) -> None:
    body = "<text:p>before</text:p>"
    for at, address in enumerate(
        (
            'xlink:href="file:///etc/passwd"',
            "x:href='&#102;ile:///etc/passwd'",
            'xlink:title=">" xlink:href="../../../../etc/passwd"',
            'xlink:href="/etc/passwd"',
        )
    ):
        body += SECTION.format(at, address)
    body += (
        '<text:p>after <text:a xlink:type="simple" xlink:href="https://example.org/?a=1&amp;b=2">link</text:a></text:p>'
    )
    extra = {"Basic/script-lc.xml": LIBRARIES, "Basic/Standard/script-lb.xml": LIBRARY, "Basic/Standard/M.xml": MACRO}
    outcome = house.run("office-to-pdf", tmp_path, {"document": documents.odt(body, before=ON_LOAD, extra=extra)})
    assert outcome.exit_code == 0, outcome.complaint
    assert "left out of the document" in outcome.complaint
    text = text_of(outcome.file("pdf"), tmp_path)
    assert "before" in text
    assert "after link" in text
    assert SECRET_LINE not in text
    assert "MACRO" not in text
    assert b"https://example.org/?a=1&b=2" in outcome.file("pdf")


@pytest.mark.engine
def test_an_rtf_includes_no_text_and_starts_no_program(tmp_path: Path) -> None:
    rtf = (
        rb'{\rtf1\ansi before {\field{\*\fldinst INCLUDETEXT "file:///etc/passwd"}{\fldrslt old}}'
        rb'{\field{\*\fldinst INCLUDETEXT "/etc/passwd" \\c TXT}{\fldrslt older}}'
        rb'{\field{\*\fldinst DDEAUTO sh "-c id" x}{\fldrslt dde}}{\*\template file:///etc/passwd} after}'
    )
    outcome = house.run("office-to-pdf", tmp_path, {"document": rtf})
    assert outcome.exit_code == 0, outcome.complaint
    text = text_of(outcome.file("pdf"), tmp_path)
    assert "before" in text
    assert SECRET_LINE not in text


@pytest.mark.engine
def test_an_rtf_that_takes_a_device_for_a_picture_ends(tmp_path: Path) -> None:
    rtf = rb'{\rtf1\ansi before {\field{\*\fldinst INCLUDEPICTURE "file:///dev/zero" \\d}{\fldrslt }} after}'
    outcome = house.run("office-to-pdf", tmp_path, {"document": rtf}, memory="1g")
    assert outcome.exit_code in (0, 65, 71)
    assert outcome.exit_code == 0 or outcome.complaint


@pytest.mark.engine
def test_remote_templates_and_pictures_of_a_docx_are_left_out(tmp_path: Path) -> None:
    parts = documents.parts_of(DOCX)
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts["word/_rels/settings.xml.rels"] = (
        '<?xml version="1.0"?><p:Relationships xmlns:p="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<p:Relationship Id="r1" Type="{kind}/attachedTemplate" a=">" Target="http://127.0.0.1:9/x.dotm" '
        'TargetMode="External"/></p:Relationships>'
    ).encode()
    parts["word/vbaProject.bin"] = b"a macro"
    outcome = house.run("office-to-pdf", tmp_path, {"document": documents.package(parts)})
    assert outcome.exit_code == 0, outcome.complaint
    assert "left out of the document" in outcome.complaint
    assert "forty crates of apples" in text_of(outcome.file("pdf"), tmp_path)


def _lying() -> bytes:
    """A package with a part that promises less than it holds."""
    data = documents.package({**documents.parts_of(DOCX), "word/media/big.bin": bytes(50_000_000)})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        true = struct.pack("<I", archive.getinfo("word/media/big.bin").file_size)
    return data.replace(true, struct.pack("<I", 1000))


WITHIN = documents.parts_of(DOCX)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"", "not a document", id="nothing"),
        pytest.param(b"<html><img src='file:///etc/passwd'></html>", "not a document", id="html"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "not a document", id="a-compound-of-nothing"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 2000, "not a document", id="a-compound-of-ones"),
        pytest.param(documents.package({"a.txt": b"words"}), "not a document", id="an-archive"),
        pytest.param(DOCX.read_bytes()[:3000], "damaged", id="half"),
        pytest.param(
            documents.package({**WITHIN, "word/document.xml": bytes(300_000_000)}), "no real document does", id="bomb"
        ),
        pytest.param(_lying(), "damaged", id="a-bomb-that-lies"),
        pytest.param(
            documents.package({**WITHIN, **{f"x/{at}": b"" for at in range(21_000)}}), "parts", id="many-parts"
        ),
        pytest.param(
            documents.package(
                {
                    **WITHIN,
                    "word/document.xml": WITHIN["word/document.xml"].replace(
                        b"?>", b'?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', 1
                    ),
                }
            ),
            "defines entities",
            id="entities",
        ),
        pytest.param(
            documents.package({**WITHIN, "word/document.xml": WITHIN["word/document.xml"].decode().encode("utf-16")}),
            "encoding",
            id="utf-16",
        ),
        pytest.param(
            documents.package(
                {
                    "mimetype": "application/vnd.oasis.opendocument.text",
                    "content.xml": b"noise",
                    "META-INF/manifest.xml": b"<a><manifest:encryption-data/></a>",
                }
            ),
            "only with a password",
            id="locked",
        ),
    ],
)
def test_what_is_no_sound_document_is_refused(data: bytes, says: str, tmp_path: Path) -> None:
    outcome = house.run("office-to-pdf", tmp_path, {"document": data})
    assert (outcome.exit_code, outcome.files) == (65, {}), outcome.complaint
    assert says in outcome.complaint


@pytest.mark.engine
def test_parts_under_strange_names_go_nowhere(tmp_path: Path) -> None:
    parts: dict[str, bytes | str] = {**WITHIN, "../../../../tmp/evil.xml": b"<a/>", "/etc/evil": b"x", "a\\b": b"x"}
    outcome = house.run("office-to-pdf", tmp_path, {"document": documents.package(parts)})
    assert outcome.exit_code == 0, outcome.complaint
    assert "forty crates of apples" in text_of(outcome.file("pdf"), tmp_path)


@pytest.mark.engine
@pytest.mark.parametrize(("flag", "value"), [("pdfa", "4"), ("first", "1,9"), ("quality", "0"), ("sheet", "two")])
def test_a_wrong_flag_of_office_to_pdf_is_named(flag: str, value: str, tmp_path: Path) -> None:
    outcome = house.run("office-to-pdf", tmp_path, {"document": DOCX}, flags={flag: value})
    assert (outcome.exit_code, outcome.files) == (64, {})
    assert outcome.complaint.startswith(f"flag {flag} must be ")


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────────

SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><image href='file:///etc/passwd'/></svg>"

TRICKS = f"""---
title: Tricks
css: file:///etc/passwd
header-includes: |
  <style>@import url(file:///etc/passwd);</style>
include-before: "![b](file:///etc/passwd)"
---
<img src="file:///etc/passwd"> <script>document.write('SCRIPT ' + 'RAN')</script>

![a](file:///etc/passwd) ![b](/etc/passwd) ![c](http://127.0.0.1:9/) ![d](data:image/svg+xml,{SVG.decode()})
![e](data:text/html,<b>x</b>) ![f](ftp://127.0.0.1/)

```{{=html}}
<iframe src="file:///etc/passwd"></iframe>
```

`<b>x</b>`{{=html}} \\include{{/etc/passwd}} $\\input{{/etc/passwd}}$

[x](file:///etc/passwd){{style="background: url(file:///etc/passwd)"}}

The end of it.
"""


@pytest.mark.engine
@pytest.mark.parametrize("dialect", ["markdown", "gfm", "commonmark"])
def test_markdown_reads_nothing_but_itself(dialect: str, tmp_path: Path) -> None:
    outcome = house.run("markdown-to-pdf", tmp_path, {"text": TRICKS.encode()}, flags={"dialect": dialect})
    assert outcome.exit_code == 0, outcome.complaint
    assert "are left out" in outcome.complaint
    text = text_of(outcome.file("pdf"), tmp_path)
    assert "The end of it." in text
    assert SECRET_LINE not in text
    assert "SCRIPT RAN" not in text
    assert b"root:" not in _unpacked(outcome.file("pdf"))


@pytest.mark.engine
def test_a_picture_in_the_text_is_shown_unless_it_is_a_bomb(tmp_path: Path) -> None:
    for width, held in ((64, True), (30_000, False)):
        picture = base64.b64encode(pictures.png(width, width, rows=min(width, 100))).decode()
        text = f"![a picture](data:image/png;base64,{picture})\n\nThe end.\n".encode()
        outcome = house.run("markdown-to-pdf", tmp_path, {"text": text}, memory="512m")
        assert outcome.exit_code == 0, outcome.complaint
        assert (b"/Image" in _unpacked(outcome.file("pdf"))) == held


@pytest.mark.engine
@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"\xff\xfe\0", "not text in UTF-8", id="noise"),
        pytest.param(b"a\0b", "zero bytes", id="zero-bytes"),
        pytest.param(b"a" * 5_000_000, "larger than 4 MB", id="large"),
        pytest.param(b">" * 20_000 + b" deep\n", "deep", id="quotations-in-quotations"),
    ],
)
def test_what_is_no_sensible_text_is_refused(data: bytes, says: str, tmp_path: Path) -> None:
    outcome = house.run("markdown-to-pdf", tmp_path, {"text": data})
    assert (outcome.exit_code, outcome.files) == (65, {}), outcome.complaint
    assert says in outcome.complaint


@pytest.mark.engine
@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("dialect", "html"),
        ("paper", "a4; }"),
        ("margin", "20mm"),
        ("size", "99"),
        ("language", "../x"),
        ("title", "a\nb"),
    ],
)
def test_a_wrong_flag_of_markdown_to_pdf_is_named(flag: str, value: str, tmp_path: Path) -> None:
    outcome = house.run("markdown-to-pdf", tmp_path, {"text": b"# A title\n"}, flags={flag: value})
    assert (outcome.exit_code, outcome.files) == (64, {})
    assert outcome.complaint.startswith(f"flag {flag} must be ")
