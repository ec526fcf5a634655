"""
How much two pictures differ: `measure.py WIDTH HEIGHT COMMAND... // COMMAND...` has two commands write the pixels of
two pictures, three bytes each, row by row, and prints one JSON object. A band of rows at a time is in memory.

SSIM is that of Wang, Bovik, Sheikh and Simoncelli (2004): on luma (Rec. 601), in Gaussian windows of 11 x 11 with sigma
1.5, the mean over all windows that lie within the picture. PSNR is that of all three colours, in decibels.
"""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

WINDOW = 11
SIGMA = 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
BAND_PIXELS = 1 << 20


class Incomplete(Exception):
    """A picture ended before its last row."""


def measure(width: int, height: int, first: BinaryIO, second: BinaryIO) -> dict[str, object]:
    """What `main` prints. Raises Incomplete."""
    squares, absolute, most, differing = 0, 0, 0, 0
    total, windows = 0.0, 0
    kept: tuple[np.ndarray, np.ndarray] | None = None
    side = min(WINDOW, width, height)
    for one, other in zip(bands(first, width, height), bands(second, width, height), strict=True):
        distance = np.abs(one.astype(np.int16) - other)
        squares += int((distance.astype(np.int64) ** 2).sum())
        absolute += int(distance.sum(dtype=np.int64))
        most = max(most, int(distance.max()))
        differing += int(distance.any(axis=2).sum())
        pair = one @ LUMA, other @ LUMA
        if kept is not None:
            pair = np.concatenate((kept[0], pair[0])), np.concatenate((kept[1], pair[1]))
        kept = pair[0][-(side - 1) :] if side > 1 else pair[0][:0], pair[1][-(side - 1) :] if side > 1 else pair[1][:0]
        if len(pair[0]) >= side:
            values = similarity(*pair, side)
            total, windows = total + float(values.sum(dtype=np.float64)), windows + values.size
    pixels = width * height
    mean_square = squares / (pixels * 3)
    return {
        "Width": width,
        "Height": height,
        "Identical": squares == 0,
        "SSIM": round(total / windows, 6),
        # Of pictures that are the same it would be infinite, which JSON cannot say.
        "PSNR": round(10 * math.log10(255**2 / mean_square), 4) if squares else None,
        "MSE": round(mean_square, 6),
        "MeanDifference": round(absolute / (pixels * 3), 6),
        "LargestDifference": most,
        "DifferentPixels": differing,
        "DifferentShare": round(differing / pixels, 6),
    }


def bands(source: BinaryIO, width: int, height: int) -> Iterator[np.ndarray]:
    """The pixels, some rows at a time. Raises Incomplete."""
    rows = max(WINDOW, BAND_PIXELS // width)
    for start in range(0, height, rows):
        count = min(rows, height - start)
        data = source.read(count * width * 3)
        if len(data) != count * width * 3:
            raise Incomplete
        yield np.frombuffer(data, dtype=np.uint8).reshape(count, width, 3)


def similarity(one: np.ndarray, other: np.ndarray, side: int) -> np.ndarray:
    """SSIM of each window of so many pixels a side."""
    mean, mean_other = smooth(one, side), smooth(other, side)
    variance = smooth(one * one, side) - mean * mean
    variance_other = smooth(other * other, side) - mean_other * mean_other
    together = smooth(one * other, side) - mean * mean_other
    shapes = (2 * together + C2) / (variance + variance_other + C2)
    return (2 * mean * mean_other + C1) / (mean * mean + mean_other * mean_other + C1) * shapes


def smooth(values: np.ndarray, side: int) -> np.ndarray:
    """Weighted means over the windows that lie within."""
    offsets = np.arange(side) - (side - 1) / 2
    weights = np.exp(-(offsets**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    high, wide = values.shape[0] - side + 1, values.shape[1] - side + 1
    down = sum(weight * values[at : at + high] for at, weight in enumerate(weights))
    return np.asarray(sum(weight * down[:, at : at + wide] for at, weight in enumerate(weights)))


def main() -> int:
    """0 when it is told, 1 when a picture is not complete."""
    width, height, *commands = sys.argv[1:]
    middle = commands.index("//")
    pictures = [subprocess.Popen(each, stdout=subprocess.PIPE) for each in (commands[:middle], commands[middle + 1 :])]
    first, second = (each.stdout for each in pictures)
    assert first is not None
    assert second is not None
    try:
        told = measure(int(width), int(height), first, second)
    except Incomplete:
        return 1
    print(json.dumps(told, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
