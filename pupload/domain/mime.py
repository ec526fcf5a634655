"""
Media types: what a port takes and gives, and what a file is.

Three questions, three functions:

* `compatible`: may what one port promises be what another takes? Asked before anything runs, so the answer is no only
  when it is certain. It is symmetric, and wildcards count on both sides.
* `matches`: is this type one of those? The plain relation, with aliases, wildcards and suffixes.
* `accepts`: may a file whose bytes look like this be taken where those are asked? Bytes tell less than people do: a CSV
  file looks like plain text, a spreadsheet like a ZIP archive. A general finding is taken where one of its kinds is
  asked, and plain text is anything readable.

Types are compared without case and parameters, after aliases are resolved. A structured suffix tells what a format is
written in (RFC 6839): `application/geo+json` is taken where `application/json` is asked, `image/svg+xml` where
`application/xml` is. The tables are written out here, for the machine's own differ from machine to machine.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

ANY = "*/*"
UNKNOWN = "application/octet-stream"
"""What bytes are that look like nothing known."""

EMPTY = "application/x-empty"
"""What a file without bytes is."""

TEXT = "text/plain"

PLAYLIST = "application/vnd.apple.mpegurl"
"""Text that names files and addresses for a player to open."""

_TOKEN = r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"  # noqa: S105 (the token of RFC 6838)
_TYPE = re.compile(rf"({_TOKEN})/({_TOKEN}|\*)")

_ALIASES = {
    "application/csv": "text/csv",
    "application/font-woff": "font/woff",
    "application/gzipped": "application/gzip",
    "application/javascript": "text/javascript",
    "application/jsonl": "application/x-ndjson",
    "application/jsonlines": "application/x-ndjson",
    "application/ndjson": "application/x-ndjson",
    "application/tar": "application/x-tar",
    "application/toml": "text/x-toml",
    "application/x-7z": "application/x-7z-compressed",
    "application/x-bzip": "application/x-bzip2",
    "application/bzip2": "application/x-bzip2",
    "application/x-font-otf": "font/otf",
    "application/x-font-ttf": "font/ttf",
    "application/x-gunzip": "application/gzip",
    "application/x-gzip": "application/gzip",
    "application/x-javascript": "text/javascript",
    "application/x-mpegurl": "application/vnd.apple.mpegurl",
    "application/x-json": "application/json",
    "application/x-jsonlines": "application/x-ndjson",
    "application/x-pdf": "application/pdf",
    "application/x-rar": "application/vnd.rar",
    "application/x-rar-compressed": "application/vnd.rar",
    "application/x-sqlite3": "application/vnd.sqlite3",
    "application/x-xml": "application/xml",
    "application/x-yaml": "application/yaml",
    "application/x-zip": "application/zip",
    "application/x-zip-compressed": "application/zip",
    "application/x-zstd": "application/zstd",
    "application/xz": "application/x-xz",
    "audio/m4a": "audio/mp4",
    "audio/mid": "audio/midi",
    "audio/mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/mpegurl": "application/vnd.apple.mpegurl",
    "audio/vnd.wave": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-aac": "audio/aac",
    "audio/x-aiff": "audio/aiff",
    "audio/x-flac": "audio/flac",
    "audio/x-hx-aac-adts": "audio/aac",
    "audio/x-m4a": "audio/mp4",
    "audio/x-midi": "audio/midi",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/x-mpegurl": "application/vnd.apple.mpegurl",
    "audio/x-ogg": "audio/ogg",
    "audio/x-wav": "audio/wav",
    "binary/octet-stream": UNKNOWN,
    "image/ico": "image/vnd.microsoft.icon",
    "image/jpe": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/svg": "image/svg+xml",
    "image/tif": "image/tiff",
    "image/x-bmp": "image/bmp",
    "image/x-icon": "image/vnd.microsoft.icon",
    "image/x-ms-bmp": "image/bmp",
    "image/x-png": "image/png",
    "image/x-tiff": "image/tiff",
    "image/x-webp": "image/webp",
    "inode/x-empty": EMPTY,
    "text/comma-separated-values": "text/csv",
    "text/json": "application/json",
    "text/rtf": "application/rtf",
    "text/x-csv": "text/csv",
    "text/x-markdown": "text/markdown",
    "text/x-yaml": "application/yaml",
    "text/xml": "application/xml",
    "text/yaml": "application/yaml",
    "video/avi": "video/x-msvideo",
    "video/m4v": "video/mp4",
    "video/matroska": "video/x-matroska",
    "video/mkv": "video/x-matroska",
    "video/mov": "video/quicktime",
    "video/msvideo": "video/x-msvideo",
    "video/vnd.avi": "video/x-msvideo",
    "video/x-m4v": "video/mp4",
    "video/x-mp4": "video/mp4",
    "video/x-webm": "video/webm",
}
"""Names for the same thing, and the one we use."""

_LINES = "application/x-ndjson"

_SUFFIXES = {
    "cbor": "application/cbor",
    "gzip": "application/gzip",
    "json": "application/json",
    "jsonl": _LINES,
    "xml": "application/xml",
    "yaml": "application/yaml",
    "zip": "application/zip",
    "zstd": "application/zstd",
}
"""What a structured suffix says the format is written in."""

_READABLE = frozenset(
    {
        "application/json",
        "application/rtf",
        "application/sql",
        "application/x-ndjson",
        "application/x-sh",
        "application/x-subrip",
        "application/x-tex",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
    }
)
"""Text by another name; all of `text/*` is as well."""

_GUESSED = frozenset(
    {
        "application/x-tex",
        "text/troff",
        "text/x-asm",
        "text/x-bcpl",
        "text/x-c",
        "text/x-c++",
        "text/x-fortran",
        "text/x-java",
        "text/x-m4",
        "text/x-makefile",
        "text/x-objective-c",
        "text/x-pascal",
        "text/x-po",
        "text/x-tex",
    }
)
"""Found by some word in a text that may as well be any other: a letter with a backslash looks like TeX."""

_ZIPPED = frozenset(
    {
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/vnd.comicbook+zip",
        "application/vnd.oasis.opendocument.presentation",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    }
)

_OFFICE = frozenset({"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"})

_KINDS = {
    "application/cdfv2": _OFFICE,
    "application/ogg": frozenset({"audio/ogg", "video/ogg"}),
    "application/x-ole-storage": _OFFICE,
    "application/zip": _ZIPPED,
    "audio/ogg": frozenset({"video/ogg"}),
    "video/mp4": frozenset({"audio/mp4"}),
    "video/ogg": frozenset({"audio/ogg"}),
    "video/webm": frozenset({"audio/webm", "video/x-matroska"}),
    "video/x-matroska": frozenset({"audio/webm", "audio/x-matroska", "video/webm"}),
    "video/x-ms-asf": frozenset({"audio/x-ms-wma", "video/x-ms-wmv"}),
}
"""What files that look like the first may be as well."""

_EXTENSIONS = {
    "application/epub+zip": ".epub",
    "application/geo+json": ".geojson",
    "application/gzip": ".gz",
    "application/java-archive": ".jar",
    "application/json": ".json",
    "application/ld+json": ".jsonld",
    "application/msword": ".doc",
    "application/pdf": ".pdf",
    "application/postscript": ".ps",
    "application/rtf": ".rtf",
    "application/sql": ".sql",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/vnd.oasis.opendocument.presentation": ".odp",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.oasis.opendocument.text": ".odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.rar": ".rar",
    "application/vnd.sqlite3": ".sqlite",
    "application/wasm": ".wasm",
    "application/x-7z-compressed": ".7z",
    "application/x-bzip2": ".bz2",
    "application/x-ndjson": ".ndjson",
    "application/x-sh": ".sh",
    "application/x-subrip": ".srt",
    "application/x-tar": ".tar",
    "application/x-tex": ".tex",
    "application/x-xz": ".xz",
    "application/xhtml+xml": ".xhtml",
    "application/xml": ".xml",
    "application/yaml": ".yaml",
    "application/zip": ".zip",
    "application/zstd": ".zst",
    "audio/aac": ".aac",
    "audio/aiff": ".aiff",
    "audio/flac": ".flac",
    "audio/midi": ".mid",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/opus": ".opus",
    "audio/wav": ".wav",
    "audio/webm": ".weba",
    "audio/x-matroska": ".mka",
    "audio/x-ms-wma": ".wma",
    "font/otf": ".otf",
    "font/ttf": ".ttf",
    "font/woff": ".woff",
    "font/woff2": ".woff2",
    "image/apng": ".apng",
    "image/avif": ".avif",
    "image/bmp": ".bmp",
    "image/gif": ".gif",
    "image/heic": ".heic",
    "image/heif": ".heif",
    "image/jp2": ".jp2",
    "image/jpeg": ".jpg",
    "image/jxl": ".jxl",
    "image/png": ".png",
    "image/svg+xml": ".svg",
    "image/tiff": ".tiff",
    "image/vnd.adobe.photoshop": ".psd",
    "image/vnd.microsoft.icon": ".ico",
    "image/webp": ".webp",
    "message/rfc822": ".eml",
    "model/gltf+json": ".gltf",
    "model/gltf-binary": ".glb",
    "model/stl": ".stl",
    "text/calendar": ".ics",
    "text/css": ".css",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/javascript": ".js",
    "text/markdown": ".md",
    "text/plain": ".txt",
    "text/tab-separated-values": ".tsv",
    "text/vcard": ".vcf",
    "text/vtt": ".vtt",
    "text/x-python": ".py",
    "text/x-toml": ".toml",
    "video/3gpp": ".3gp",
    "video/mp2t": ".ts",
    "video/mp4": ".mp4",
    "video/mpeg": ".mpeg",
    "video/ogg": ".ogv",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-flv": ".flv",
    "video/x-matroska": ".mkv",
    "video/x-ms-wmv": ".wmv",
    "video/x-msvideo": ".avi",
}

_TELLING = frozenset({"audio", "font", "image", "text", "video"})
"""Major types whose files show what they are."""


@lru_cache(maxsize=4096)
def normalised(text: str) -> str | None:
    """
    The type in lower case, without parameters, under the one name we use; None when it is no media type.

    `image/*` and `*/*` are media types here, and `*` means `*/*`; half a word with a star is not one.
    """
    bare = text.split(";", 1)[0].strip().lower()
    if bare in ("*", ANY):
        return ANY
    return _ALIASES.get(bare, bare) if _TYPE.fullmatch(bare) else None


def valid(text: str) -> bool:
    """Whether the text is a media type or a wildcard."""
    return normalised(text) is not None


def concrete(text: str) -> bool:
    """Whether the text is one media type and no wildcard."""
    found = normalised(text)
    return found is not None and not found.endswith("/*")


def matches(found: str, accepted: str) -> bool:
    """Whether a type is another, is written in it (by suffix) or covered by it as a wildcard."""
    one, other = normalised(found), normalised(accepted)
    return one is not None and other is not None and _covers(other, one)


def compatible(produced: Iterable[str], accepted: Iterable[str]) -> bool:
    """Whether some file can satisfy both sides; a side without types takes any. Invalid types count for nothing."""
    left, right = _set(produced), _set(accepted)
    if left is None or right is None:
        return True
    return any(_overlap(one, other) for one in left for other in right)


def accepts(accepted: Iterable[str], found: str) -> bool:
    """
    Whether a file that looks like `found` may be taken where `accepted` are asked; without types, any file.

    `text/plain` is taken for every readable format and every readable format for `text/plain`. What looks like
    nothing known is taken only for formats that cannot be told from their bytes. An empty file is taken for text and
    for lines of JSON, and anything where `application/octet-stream` is asked: that means bytes.
    """
    wanted = _set(accepted)
    if wanted is None:
        return True
    seen = normalised(found) or UNKNOWN
    return any(_covers(want, seen) or _may_be(seen, want) for want in wanted)


def extension(text: str) -> str:
    """The usual file name extension with its dot; empty for wildcards and types that are not in our table."""
    return _EXTENSIONS.get(normalised(text) or "", "")


def zipped(text: str) -> bool:
    """Whether files of the type are ZIP archives, by whatever name."""
    name = normalised(text) or ""
    return name == "application/zip" or name in _ZIPPED or _written_in(name) == "application/zip"


def readable(text: str) -> bool:
    """Whether files of the type are text, by whatever name."""
    return _readable(normalised(text) or UNKNOWN)


def _set(types: Iterable[str]) -> frozenset[str] | None:
    """The types under our names; None for any."""
    given = tuple(types)
    return frozenset(name for name in map(normalised, given) if name is not None) if given else None


@lru_cache(maxsize=4096)
def _majors(name: str) -> frozenset[str]:
    """
    Under which wildcards a type falls: `application/xml` is also known as `text/xml`.

    A list of what to play is no sound, whatever people call it: who takes `audio/*` is not to be sent elsewhere by it.
    """
    if name == PLAYLIST:
        return frozenset({"application"})
    names = [name, *(alias for alias, target in _ALIASES.items() if target == name)]
    return frozenset(each.split("/", 1)[0] for each in names)


@lru_cache(maxsize=4096)
def _written_in(name: str) -> str | None:
    """What the type's suffix says it is written in."""
    return _SUFFIXES.get(name.rpartition("+")[2]) if "+" in name else None


@lru_cache(maxsize=16384)
def _covers(wide: str, narrow: str) -> bool:
    """Whether every file of the narrow type is of the wide one."""
    if wide in (ANY, narrow):
        return True
    if wide.endswith("/*"):
        return wide[:-2] in (_majors(narrow) if not narrow.endswith("/*") else (narrow[:-2],)) and narrow != ANY
    return _written_in(narrow) == wide


def _overlap(one: str, other: str) -> bool:
    """
    Whether a file may be of both types.

    All of `text/*` may be plain text, for that is what it looks like; `application/octet-stream` says bytes, no more.
    """
    if UNKNOWN in (one, other) or _covers(one, other) or _covers(other, one):
        return True
    return TEXT in (one, other) and one.startswith("text/") and other.startswith("text/")


def _may_be(seen: str, want: str) -> bool:
    """Whether bytes that look like the one may be the other."""
    if want == UNKNOWN:
        return True
    if seen == TEXT or seen in _GUESSED:
        return _readable(want)
    if want == TEXT or want == "text/*":
        return _readable(seen) or seen == EMPTY
    if seen == EMPTY:
        return want.startswith("text/") or _of_lines(want)
    if seen == "application/json" and _of_lines(want):
        return True  # a single line is both
    if seen == UNKNOWN:
        return not want.endswith("/*") and want.split("/", 1)[0] not in _TELLING and want not in _EXTENSIONS
    return want in _KINDS.get(seen, ()) or _written_in(want) == seen


def _of_lines(name: str) -> bool:
    """Whether it is lines of JSON, of which there may be none, or one."""
    return _LINES in (name, _written_in(name))


def _readable(name: str) -> bool:
    written_in = _written_in(name)
    return name.startswith("text/") or name in _READABLE or written_in in _READABLE
