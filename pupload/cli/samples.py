"""Texts of the files that every project of `pup init` has, and of the two flows that are its usual ones."""

FLOW_RESIZE = """\
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

    {build}
    pup validate             # says what is wrong with the flows, if anything is
    pup dev                  # runs a server here, on http://127.0.0.1:1234; `pup test` also does without

The first builds the images of the node types; it has to be done once.

## Flows

{tries}

Change a flag and see what becomes different, old beside new: `pup replay RUN --flag NODE.FLAG=VALUE`.

## Files

| | |
|---|---|
| `pup.yaml` | the project's name and id, and the servers it knows (`pup controller add`) |
| `flows/` | one flow in each file |
| `node_defs/` | one node type in each file |
| `nodes/<publisher>/<name>/` | node types with their Dockerfile, for `pup node build` |

`pup node list` tells which node types there are, `pup init --list` which flows there are to start from.
"""

GITIGNORE = """\
pupload-data/
results/
"""
