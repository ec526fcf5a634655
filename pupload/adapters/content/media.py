"""How long sound and video play, and how large the frames are, by MediaInfo."""

import json
from typing import Any

import pymediainfo

from pupload.adapters.content.window import Window
from pupload.domain.facts import Facts


def facts(file: Window, content_type: str) -> Facts:  # noqa: ARG001 - all parsers are called alike
    """The longest of all durations, the largest of all frames; nothing of what the headers do not say."""
    told = json.loads(pymediainfo.MediaInfo.parse(file, parse_speed=0.25, full=False, output="JSON"))
    tracks: list[dict[str, Any]] = (told.get("media") or {}).get("track", [])
    kinds = {track.get("@type") for track in tracks}
    if not kinds & {"Video", "Audio"}:
        return Facts()
    frames = [
        (int(float(track["Width"])), int(float(track["Height"])))
        for track in tracks
        if track.get("@type") == "Video" and track.get("Width") and track.get("Height")
    ]
    width, height = max(frames, key=lambda frame: frame[0] * frame[1], default=(None, None))
    durations = [float(track["Duration"]) for track in tracks if track.get("Duration")]
    return Facts(width=width, height=height, duration_seconds=max(durations, default=None))
