"""Picture files as grey arrays, refused by their header before a pixel is decoded.

Promises a bounded memory for any file: at most MAX_BYTES read and MAX_PIXELS decoded, 8 bytes for each at
worst (512 MB; 1 byte for each in a JPEG). Called by `scan` and by the folder source of `sources`.
"""

from __future__ import annotations

import contextlib
import io
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from edge.kiosk.decoding import MAX_PIXELS, MAX_SIDE

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


WHITE, BLACK = 255, 0
"""What shows through transparent parts."""


class PictureError(Exception):
    """A file that is no picture we read; the message is one sentence without the file's name."""


class CutPictureError(PictureError):
    """A picture whose end is missing."""


def load_grey(path: Path) -> NDArray[np.uint8]:
    """The first picture of a file in grey, transparent parts white. Raises PictureError."""
    return _loaded(_bytes(path), WHITE)


def load_renderings(path: Path, damaged: Callable[[PictureError], None]) -> Iterator[NDArray[np.uint8]]:
    """`load_grey`, then the same on black where parts are transparent. Raises PictureError.

    A picture whose end is missing is told to `damaged`, and given as far as it goes.
    """
    data = _bytes(path)
    try:
        first = _loaded(data, WHITE)
    except CutPictureError as error:
        damaged(error)
        with _reading_cut_pictures():
            first = _loaded(data, WHITE)
    yield first
    with contextlib.suppress(PictureError):
        second = _loaded(data, BLACK)
        if not np.array_equal(first, second):
            yield second


def _loaded(data: bytes, ground: int) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and of sizes that are checked here
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image)
                return _grey(image, ground)
        except UnidentifiedImageError:
            raise PictureError("This is not a picture in a format that is read here.") from None
        except Image.DecompressionBombError:
            raise PictureError(f"The picture has more than {MAX_PIXELS:,} pixels.") from None
        except _DAMAGED as error:
            kind = CutPictureError if "truncated" in str(error) else PictureError
            raise kind(f"The picture is damaged: {_one_line(error)}.") from None


@contextlib.contextmanager
def _reading_cut_pictures() -> Iterator[None]:
    """Pillow's one switch for it, which is of the whole process."""
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


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
    if max(image.size) > MAX_SIDE:
        raise PictureError(f"The picture is {max(image.size):,} pixels long; at most {MAX_SIDE:,} are read.")


def _grey(image: Image.Image, ground: int) -> NDArray[np.uint8]:
    if image.format in ("JPEG", "MPO"):
        image.draft("L", image.size)  # libjpeg then decodes brightness alone
    if image.mode.startswith(("I", "F")):
        return _stretched(np.asarray(image, np.float32))
    if "A" in image.getbands() or "transparency" in image.info:
        opaque = (image if "A" in image.getbands() else image.convert("RGBA")).getchannel("A")
        image = Image.composite(image.convert("L"), Image.new("L", image.size, ground), opaque)
    return np.array(image.convert("L"), np.uint8)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """16-bit and floating pictures over their own range."""
    finite = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    return ((finite - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())[:200].rstrip(".")
