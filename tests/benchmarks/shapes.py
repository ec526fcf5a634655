"""The flows that are measured, as users would post them, on a two-megabyte image with a shell."""

from tests.system import flows

Json = flows.Json

CLOCK = "adjtimex | grep tv_"
"""Two lines with the time to the microsecond: what the image has in the place of `date +%N`."""

TOLD = f'{CLOCK} > "$OUTPUT_OUT"; cat "$INPUT_IN" > /dev/null; {CLOCK} >> "$OUTPUT_OUT"'
"""A node that says when it began and when it was done."""


def chain(length: int, *, upload: bool, script: str = flows.COPY) -> Json:
    """Nodes `n0`, `n1`, … on edges `e1`, `e2`, …; the first takes the upload `e0`, or nothing and writes a line."""
    nodes = [flows.a_node(f"n{i}", "step", inputs={"in": f"e{i}"}, outputs={"out": f"e{i + 1}"}) for i in range(length)]
    definitions = [flows.a_script("step", script)]
    if not upload:
        nodes[0] = flows.a_node("n0", "first", outputs={"out": "e1"})
        definitions.append(flows.a_script("first", 'echo first > "$OUTPUT_OUT"'))
    return flows.an_order(nodes, definitions, name=f"chain-{length}")


def fan(width: int) -> Json:
    """Nodes that need nothing, each of which writes a line."""
    nodes = [flows.a_node(f"n{i}", "leaf", outputs={"out": f"e{i}"}) for i in range(width)]
    return flows.an_order(nodes, [flows.a_script("leaf", 'echo done > "$OUTPUT_OUT"')], name=f"fan-{width}")


def fan_behind_upload(width: int) -> Json:
    """Nodes that all take the upload `e0`."""
    nodes = [flows.a_node(f"n{i}", "leaf", inputs={"in": "e0"}, outputs={"out": f"o{i}"}) for i in range(width)]
    return flows.an_order(nodes, [flows.a_script("leaf", flows.COPY)], name=f"fan-behind-upload-{width}")


def diamond() -> Json:
    """The upload `e0`, split, worked on twice, and joined."""
    join = 'cat "$INPUT_LEFT" "$INPUT_RIGHT" > "$OUTPUT_OUT"'
    nodes = [
        flows.a_node("top", "step", inputs={"in": "e0"}, outputs={"out": "top"}),
        flows.a_node("left", "step", inputs={"in": "top"}, outputs={"out": "left"}),
        flows.a_node("right", "step", inputs={"in": "top"}, outputs={"out": "right"}),
        flows.a_node("end", "join", inputs={"left": "left", "right": "right"}, outputs={"out": "end"}),
    ]
    definitions = [flows.a_script("step", flows.COPY), flows.a_script("join", join)]
    return flows.an_order(nodes, definitions, name="diamond")


def when(text: bytes) -> list[float]:
    """The times, in seconds since 1970, that the lines of `CLOCK` tell. Raises `ValueError` for others."""
    words = text.split()
    seconds, micros = words[1::4], words[3::4]
    if len(words) % 4 or not seconds or words[0] != b"time.tv_sec:":
        raise ValueError(f"no time: {text[:100]!r}")
    return [int(whole) + int(part) / 1e6 for whole, part in zip(seconds, micros, strict=True)]
