"""Reads QR codes from pictures: zxing-cpp, helped by OpenCV, and by a sampler of our own where both give up.

`decode` is what the kiosk and `scan` call. Importing this package imports OpenCV (45 MB): do so only where
there is a camera or a picture. What each stage gains is measured in docs/decoding.md.
"""

from edge.kiosk.decoding.decoder import MAX_PIXELS, MAX_SIDE, Reading, decode, read_all

__all__ = ["MAX_PIXELS", "MAX_SIDE", "Reading", "decode", "read_all"]
