"""Picture files as grey arrays, refused by their header before a pixel is decoded.

Promises a bounded memory for any file: at most MAX_BYTES read and MAX_PIXELS decoded, 8 bytes for each at
worst (400 MB; 1 byte for each in a JPEG). Called by `scan` and by the folder source of `sources`.
"""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edge.kiosk.decoding import MAX_PIXELS

MAX_BYTES = 64_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # an MPO begins with a JPEG

_DAMAGED = (  # what Pillow's readers raise on damaged files
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class PictureError(Exception):
    """A file that is no picture we read; the message is one sentence without the file's name."""


def load_grey(path: Path) -> NDArray[np.uint8]:
    """The first picture of a file in grey, transparent parts white. Raises PictureError."""
    data = _bytes(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of sizes that are checked here
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image)
                return _grey(image)
        except UnidentifiedImageError:
            raise PictureError("This is not a picture in a format that is read here.") from None
        except Image.DecompressionBombError:
            raise PictureError(f"The picture has more than {MAX_PIXELS:,} pixels.") from None
        except _DAMAGED as error:
            raise PictureError(f"The picture is damaged: {_one_line(error)}.") from None


def _bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PictureError("This is not a regular file.")
        if status.st_size > MAX_BYTES:
            raise PictureError(f"The file has more than {MAX_BYTES:,} bytes.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except FileNotFoundError:
        raise PictureError("There is no such file.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PictureError(f"The file cannot be read: {_one_line(reason)}.") from None


def _check_size(image: Image.Image) -> None:
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise PictureError(f"The picture has {pixels:,} pixels; at most {MAX_PIXELS:,} are read.")


def _grey(image: Image.Image) -> NDArray[np.uint8]:
    if image.format in ("JPEG", "MPO"):
        image.draft("L", image.size)  # libjpeg then decodes brightness alone
    if image.mode.startswith(("I", "F")):
        return _stretched(np.asarray(image, np.float32))
    if "A" in image.getbands() or "transparency" in image.info:
        opaque = (image if "A" in image.getbands() else image.convert("RGBA")).getchannel("A")
        image = Image.composite(image.convert("L"), Image.new("L", image.size, 255), opaque)
    return np.array(image.convert("L"), np.uint8)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """16-bit and floating pictures over their own range."""
    finite = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    return ((finite - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())[:200].rstrip(".")
