"""The project that `pup init` makes: two flows that work as they are."""

from collections.abc import Mapping

FLOW_RESIZE = """\
# Makes a picture 800 pixels wide. Try it:
#
#   pup test resize --input photo=some-picture.jpg --output results
Name: resize
Nodes:
  - ID: shrink
    Uses: pupload/resize
    Inputs:
      - Name: image
        Edge: photo # nobody produces it, so the run waits for an upload
    Outputs:
      - Name: resized
        Edge: small-photo
    Flags:
      - Name: width
        Value: 800
"""

FLOW_SORT = """\
# Sorts the lines of a text with a node type of your own: see node_defs/sort-lines.yaml.
#
#   pup test sort --input list=README.md --output results
Name: sort
Nodes:
  - ID: sort
    Uses: my/sort-lines
    Inputs:
      - Name: text
        Edge: list
    Outputs:
      - Name: sorted
        Edge: sorted-list
    Flags:
      - Name: key
        Value: 1
"""

NODE_SORT = """\
# A node type: an image, what it takes and gives, and what runs in it.
Publisher: my
Name: sort-lines
Description: Sorts the lines of a text.
# Any image will do. This is the small Debian that pupload's own node types are built on (`pup node build` makes it).
Image: pupload/base:bookworm
Tier: c-nano
MaxAttempts: 2
Timeout: 1m
Inputs:
  - Name: text
    Type: [text/*]
    Required: true
Outputs:
  - Name: sorted
    Type: [text/plain]
Flags:
  - Name: key
    Description: The column to sort by.
    Type: integer
    Default: 1
Command:
  # Split into arguments like a shell would, without being one: a value can never become two arguments.
  Exec: sort --key=${key} --output=${sorted} ${text}
"""

README = """\
# {name}

A pupload project.

    pup dev                  # runs a server here, on http://127.0.0.1:1234
    pup node build           # builds the images of the node types (once)
    pup validate             # says what is wrong with the flows, if anything is
    pup test resize --input photo=picture.jpg --output results

| | |
|---|---|
| `pup.yaml` | the project's name and id, and the servers it knows (`pup controller add`) |
| `flows/` | one flow in each file |
| `node_defs/` | one node type in each file |
| `nodes/<publisher>/<name>/` | node types with their Dockerfile, for `pup node build` |
"""

GITIGNORE = """\
pupload-data/
results/
"""


def files(name: str) -> Mapping[str, str]:
    """Contents by path; `pup.yaml` is made separately."""
    return {
        "flows/resize.yaml": FLOW_RESIZE,
        "flows/sort.yaml": FLOW_SORT,
        "node_defs/sort-lines.yaml": NODE_SORT,
        "README.md": README.format(name=name),
        ".gitignore": GITIGNORE,
    }
