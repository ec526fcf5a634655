"""What `pup init` has to offer: flows of the node types that ship, each of which works as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pupload.cli import samples
from pupload.cli.failures import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A flow to start from."""

    name: str
    """Of the template, of its flow and of its file."""
    about: str
    """What it does, in a line."""
    tries: str
    """What is given to it: the arguments of `pup test` behind the flow's name."""
    uses: Sequence[str]
    """Names of the node types that ship, for `pup node build`."""
    flow: str
    """Of the file, without its first lines, which say the above."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Other files, by path."""

    def files(self) -> Mapping[str, str]:
        """Contents by path."""
        heading = f"# {self.about}\n#\n#   pup test {self.name} {self.tries} --output results\nName: {self.name}\n"
        return {f"flows/{self.name}.yaml": heading + self.flow, **self.more}


_WEB = """\
Nodes:
  - ID: clean
    Uses: pupload/strip-metadata # where it was taken is nobody's business
    Inputs: [{Name: image, Edge: photo}]
    Outputs: [{Name: stripped, Edge: clean-photo}]
  - ID: large
    Uses: pupload/resize
    Inputs: [{Name: image, Edge: clean-photo}]
    Outputs: [{Name: resized, Edge: large-photo}]
    Flags: [{Name: width, Value: 1600}, {Name: format, Value: webp}]
  - ID: thumbnail
    Uses: pupload/thumbnail
    Inputs: [{Name: image, Edge: clean-photo}]
    Outputs: [{Name: thumbnail, Edge: thumbnail}]
    Flags: [{Name: size, Value: 320}]
"""

_VIDEO = """\
Nodes:
  - ID: still
    Uses: pupload/video-thumbnail
    Inputs: [{Name: video, Edge: video}]
    Outputs: [{Name: thumbnail, Edge: poster}]
    Flags: [{Name: width, Value: 640}]
  - ID: look
    Uses: pupload/probe # how long it is, and what is in it
    Inputs: [{Name: media, Edge: video}]
    Outputs: [{Name: facts, Edge: facts}]
"""

_TRANSCODE = """\
Nodes:
  - ID: transcode
    Uses: pupload/transcode
    Inputs: [{Name: video, Edge: video}]
    Outputs: [{Name: transcoded, Edge: web-video}]
    Flags: [{Name: height, Value: 720}, {Name: speed, Value: fast}]
  - ID: still
    Uses: pupload/video-thumbnail
    Inputs: [{Name: video, Edge: web-video}]
    Outputs: [{Name: thumbnail, Edge: poster}]
"""

_OCR = """\
Nodes:
  - ID: read
    Uses: pupload/ocr
    Inputs: [{Name: picture, Edge: scan}] # a picture, or a PDF of pictures
    Outputs:
      - {Name: text, Edge: text}
      - {Name: pdf, Edge: searchable}
    Flags: [{Name: languages, Value: eng}]
"""

_OFFICE = """\
Nodes:
  - ID: print
    Uses: pupload/office-to-pdf
    Inputs: [{Name: document, Edge: document}]
    Outputs: [{Name: pdf, Edge: pdf}]
  - ID: read
    Uses: pupload/pdf-text
    Inputs: [{Name: document, Edge: pdf}]
    Outputs: [{Name: text, Edge: text}]
DataWells:
  - Edge: pdf # passed on, and a result as well
    Key: ${RUN_ID}/document.pdf
"""

_PAGES = """\
Nodes:
  - ID: draw
    Uses: pupload/pdf-pages
    Inputs: [{Name: document, Edge: document}]
    Outputs: [{Name: pages, Edge: pages}] # a collection: a picture of each page
  - ID: shrink
    Uses: pupload/thumbnail
    ForEach: image # runs once for each page
    Inputs: [{Name: image, Edge: pages}]
    Outputs: [{Name: thumbnail, Edge: thumbnails}]
    Flags: [{Name: size, Value: 320}]
"""

_ARCHIVE = """\
Nodes:
  - ID: unpack
    Uses: pupload/unpack
    Inputs: [{Name: archive, Edge: archive}]
    Outputs: [{Name: files, Edge: photos}] # a collection
    Flags:
      - {Name: include, Value: "*.jpg, *.jpeg, *.png, *.webp"}
  - ID: shrink
    Uses: pupload/resize
    ForEach: image # runs once for each picture
    PartialFailure: Keep # a picture that cannot be read does not stop the others
    Inputs: [{Name: image, Edge: photos}]
    Outputs: [{Name: resized, Edge: small-photos}]
    Flags: [{Name: width, Value: 800}]
  - ID: pack
    Uses: pupload/pack
    Inputs: [{Name: files, Edge: small-photos}]
    Outputs: [{Name: archive, Edge: small-archive}]
"""

_SOUND = """\
Nodes:
  - ID: extract
    Uses: pupload/extract-audio
    Inputs: [{Name: media, Edge: recording}] # sound, or a video
    Outputs: [{Name: audio, Edge: sound}]
  - ID: level
    Uses: pupload/loudness-normalise
    Inputs: [{Name: media, Edge: sound}]
    Outputs: [{Name: normalised, Edge: levelled}]
  - ID: draw
    Uses: pupload/waveform
    Inputs: [{Name: media, Edge: sound}]
    Outputs: [{Name: waveform, Edge: waveform}]
"""

_TABLE = """\
Nodes:
  - ID: convert
    Uses: pupload/csv-to-parquet
    Inputs: [{Name: table, Edge: table}]
    Outputs: [{Name: parquet, Edge: parquet}]
  - ID: count
    Uses: pupload/sql
    Inputs: [{Name: input, Edge: table}]
    Outputs: [{Name: result, Edge: counted}]
    Flags: [{Name: query, Value: "SELECT count(*) AS lines FROM input"}]
"""

TEMPLATES: Mapping[str, Template] = {
    each.name: each
    for each in (
        Template(
            name="resize",
            about="Makes a picture 800 pixels wide.",
            tries="--input photo=PICTURE",
            uses=("resize",),
            flow=samples.FLOW_RESIZE,
        ),
        Template(
            name="sort",
            about="Sorts the lines of a text with a node type of your own: see node_defs/sort-lines.yaml.",
            tries="--input list=README.md",
            uses=(),
            flow=samples.FLOW_SORT,
            more={"node_defs/sort-lines.yaml": samples.NODE_SORT},
        ),
        Template(
            name="web-pictures",
            about="Makes a picture fit for the web: without its metadata, in two sizes.",
            tries="--input photo=PICTURE",
            uses=("strip-metadata", "resize", "thumbnail"),
            flow=_WEB,
        ),
        Template(
            name="video-thumbnail",
            about="Takes a still of a video, and tells what is in it.",
            tries="--input video=VIDEO",
            uses=("video-thumbnail", "probe"),
            flow=_VIDEO,
        ),
        Template(
            name="web-video",
            about="Makes a video that browsers play, with a poster for it.",
            tries="--input video=VIDEO",
            uses=("transcode", "video-thumbnail"),
            flow=_TRANSCODE,
        ),
        Template(
            name="ocr",
            about="Reads scanned pages: their text, and a PDF that can be searched.",
            tries="--input scan=SCAN",
            uses=("ocr",),
            flow=_OCR,
        ),
        Template(
            name="office",
            about="Makes a PDF of an office document, and tells its text.",
            tries="--input document=DOCUMENT",
            uses=("office-to-pdf", "pdf-text"),
            flow=_OFFICE,
        ),
        Template(
            name="pdf-thumbnails",
            about="Makes a small picture of each page of a PDF.",
            tries="--input document=DOCUMENT.pdf",
            uses=("pdf-pages", "thumbnail"),
            flow=_PAGES,
        ),
        Template(
            name="unpack-resize-pack",
            about="Makes the pictures in an archive smaller, each by itself, and packs them again.",
            tries="--input archive=PICTURES.zip",
            uses=("unpack", "resize", "pack"),
            flow=_ARCHIVE,
        ),
        Template(
            name="sound",
            about="Takes the sound of a recording: at an even loudness, and as a picture.",
            tries="--input recording=RECORDING",
            uses=("extract-audio", "loudness-normalise", "waveform"),
            flow=_SOUND,
        ),
        Template(
            name="table",
            about="Turns a CSV table into Parquet, and asks it something in SQL.",
            tries="--input table=TABLE.csv",
            uses=("csv-to-parquet", "sql"),
            flow=_TABLE,
        ),
    )
}
"""By name, in the order in which they are offered."""

USUAL = ("resize", "sort")
"""Without a choice."""


def chosen(names: Sequence[str]) -> Sequence[Template]:
    """The templates of these names, each once; the usual ones without any. Raises `Usage`."""
    for name in names:
        if name not in TEMPLATES:
            raise Usage(reason=f"there is no template {name}; there is: {', '.join(TEMPLATES)}")
    return [TEMPLATES[name] for name in dict.fromkeys(names or USUAL)]


def read_choice(text: str) -> Sequence[str]:
    """The names that somebody typed, or their numbers in the list, with spaces or commas. Raises `Usage`."""
    listed = list(TEMPLATES)
    words = text.replace(",", " ").split()
    return [listed[int(word) - 1] if word.isdecimal() and 0 < int(word) <= len(listed) else word for word in words]


def files(title: str, templates: Sequence[Template]) -> Mapping[str, str]:
    """The contents of a project's files by path; `pup.yaml` is made separately."""
    found: dict[str, str] = {}
    for template in templates:
        found |= template.files()
    images = list(dict.fromkeys(name for template in templates for name in template.uses))
    # The small image that own node types are built on comes with every build of one that ships.
    build = f"pup node build {' '.join(images or ['resize'])}"
    tries = "\n\n".join(f"{each.about}\n\n    pup test {each.name} {each.tries} --output results" for each in templates)
    return {
        **found,
        "README.md": samples.README.format(name=title, build=build, tries=tries),
        ".gitignore": samples.GITIGNORE,
    }
