"""One photograph of a QR card, from its parameters: card, pose, curl, light, lens, hand, sensor.

Pure but for its random generator; the same `Scene` gives the same pixels. Called by `qr_images`, which
draws the parameters. Lengths on the card are in QR modules, lengths in the picture in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import segno
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Plane = NDArray[np.float32]

TEXEL = 10  # texture pixels to a module
MARGIN = 14  # card around the code, in modules


@dataclass(frozen=True)
class Blob:
    """A soft ellipse: a reflection on the card, or something that covers it (modules from the centre)."""

    x: float
    y: float
    long: float
    short: float
    turn: float
    strength: float
    softness: float


@dataclass(frozen=True)
class Scene:
    """Everything that decides a picture; angles in radians."""

    seed: int
    text: str
    width: int
    height: int
    module_px: float
    offset: tuple[float, float]  # of the code's centre from the picture's, as a share of its size
    yaw: float
    pitch: float
    roll: float
    curl: float  # half the angle that the code's width bends through; negative bends inwards
    curl_axis: float
    defocus_px: float
    motion_px: float
    motion_turn: float
    light: float  # exposure: 1 is a well lit card
    ink: float  # brightness of the dark modules, 0..1 of the paper
    shade: float  # strength of a gradient and a shadow's edge
    noise: float
    sharpening: float
    jpeg_quality: int
    quiet_zone: int
    glares: tuple[Blob, ...]
    covers: tuple[Blob, ...]


def render(scene: Scene) -> Gray:
    """The picture as 8-bit grey, `scene.height` x `scene.width`."""
    rng = np.random.default_rng(scene.seed)
    texture, modules = _card(scene, rng)
    picture = _room(scene, rng)
    column, row, seen = _rays_on_card(scene, texture.shape)
    printed = cv2.remap(texture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    middle = modules / 2 + MARGIN
    u, v = ((line / TEXEL - middle).astype(np.float32) for line in (column, row))
    card = _shaded(scene, (printed / 255).astype(np.float32), u, v)
    picture = _hand(scene, picture, u, v)
    picture = picture * (1 - seen) + card * seen
    for cover in scene.covers:
        alpha = _falloff(cover, u, v)
        picture = picture * (1 - alpha) + (cover.strength + rng.normal(0, 0.01)) * alpha
    picture = picture * scene.light
    for glare in scene.glares:
        picture = picture + glare.strength * _falloff(glare, u, v) * np.maximum(seen, 0.15)
    return _sensor(scene, _lens(scene, picture), rng)


def _card(scene: Scene, rng: np.random.Generator) -> tuple[Gray, int]:
    """The flat card and the code's width in modules; the code lies in its middle."""
    code = np.array([list(r) for r in segno.make_qr(scene.text, error="m", boost_error=False).matrix])
    modules = int(code.shape[0])
    side = (modules + 2 * MARGIN) * TEXEL
    card = np.full((side + 40 * TEXEL, side), int(rng.integers(150, 250)), np.uint8)
    white, quiet = 250, scene.quiet_zone
    dark = int(255 * scene.ink)
    first, last = (MARGIN - quiet) * TEXEL, (MARGIN + modules + quiet) * TEXEL
    card[first:last, first:last] = white
    inked = np.where(code > 0, dark, white).astype(np.uint8)
    at = slice(MARGIN * TEXEL, (MARGIN + modules) * TEXEL)
    card[at, at] = np.kron(inked, np.ones((TEXEL, TEXEL), np.uint8))
    for line in range(4):
        words = "".join(chr(c) for c in rng.integers(65, 91, 16))
        place = (MARGIN * TEXEL, side + (line * 8 + 6) * TEXEL)
        cv2.putText(card, words, place, cv2.FONT_HERSHEY_SIMPLEX, 1.6, 40, 4, cv2.LINE_AA)
    ripple = rng.normal(0, 2, (card.shape[0] // 8 + 1, card.shape[1] // 8 + 1)).astype(np.float32)
    paper = cv2.resize(ripple, (card.shape[1], card.shape[0]))
    worn = np.clip(card.astype(np.float32) + paper, 0, 255).astype(np.uint8)
    # A texture much finer than the picture would alias: soften it as far as the picture is coarser.
    sigma = 0.4 * TEXEL / scene.module_px
    return cast("Gray", cv2.GaussianBlur(worn, (0, 0), max(sigma, 0.3))), modules


def _rays_on_card(scene: Scene, shape: Sequence[int]) -> tuple[Plane, Plane, Plane]:
    """Where each pixel's ray meets the (bent) card: texture column and row, and whether it does."""
    height, width = scene.height, scene.width
    side = shape[1] / TEXEL
    focal = 1.1 * width
    depth = focal / scene.module_px
    turn = _rotation(scene.pitch, scene.yaw, scene.roll)
    place = np.array([scene.offset[0] * width / scene.module_px, scene.offset[1] * height / scene.module_px, depth])
    x, y = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    rays = np.stack([x / focal, y / focal, np.ones_like(x)], axis=-1) @ turn
    origin = -place @ turn
    c, s = np.cos(scene.curl_axis), np.sin(scene.curl_axis)
    swing = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    rays, origin = rays @ swing, origin @ swing
    a, b = _unroll(scene, side, rays, origin)
    column = (a * c - b * s + side / 2) * TEXEL
    row = (a * s + b * c + side / 2) * TEXEL
    inside = (column >= 0) & (row >= 0) & (column < shape[1]) & (row < shape[0]) & np.isfinite(column)
    seen = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.7)
    bounded = [np.nan_to_num(p, nan=-1e4, posinf=-1e4, neginf=-1e4).astype(np.float32) for p in (column, row)]
    return bounded[0], bounded[1], cast("Plane", seen)


def _unroll(
    scene: Scene, side: float, rays: NDArray[np.float64], origin: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates on the sheet where the rays meet it: across and along the bend, NaN where they miss."""
    if abs(scene.curl) < 0.02:
        t = -origin[2] / rays[..., 2]
        return origin[0] + t * rays[..., 0], origin[1] + t * rays[..., 1]
    radius, sign = 0.5 * side * 0.62 / abs(scene.curl), np.sign(scene.curl)
    ox, oz = origin[0], origin[2] - sign * radius
    qa = rays[..., 0] ** 2 + rays[..., 2] ** 2
    qb = 2 * (ox * rays[..., 0] + oz * rays[..., 2])
    with np.errstate(invalid="ignore"):
        root = np.sqrt(qb**2 - 4 * qa * (ox**2 + oz**2 - radius**2))
        t = (-qb - sign * root) / (2 * qa)
        across = radius * np.arctan2(origin[0] + t * rays[..., 0], radius - sign * (origin[2] + t * rays[..., 2]))
    return across, origin[1] + t * rays[..., 1]


def _rotation(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    cx, sx, cy, sy, cz, sz = (f(a) for a in (pitch, yaw, roll) for f in (np.cos, np.sin))
    return cast(
        "NDArray[np.float64]",
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]),
    )


def _falloff(blob: Blob, u: Plane, v: Plane) -> Plane:
    """1 inside the blob, 0 outside, over its softness (0 hard … 1 all slope)."""
    c, s = np.cos(blob.turn), np.sin(blob.turn)
    x, y = u - blob.x, v - blob.y
    distance = np.hypot((x * c + y * s) / blob.long, (y * c - x * s) / blob.short)
    edge = max(blob.softness, 0.02)
    return cast("Plane", np.clip((1 + edge - distance) / (2 * edge), 0, 1).astype(np.float32) ** 2)


def _shaded(scene: Scene, card: Plane, u: Plane, v: Plane) -> Plane:
    """The card under a slanting light, a bent card darker at its sides, and a shadow's soft edge."""
    a = u * np.cos(scene.curl_axis) + v * np.sin(scene.curl_axis)
    bend = 1 - 0.5 * np.clip(np.abs(a) / 45, 0, 1) ** 2 * min(abs(scene.curl), 1)
    slope = 1 - scene.shade * np.clip(0.5 + (u * np.cos(scene.roll) + v * np.sin(scene.motion_turn)) / 70, 0, 1)
    edge = 1 / (1 + np.exp(np.clip((u * 0.8 + v * 0.6 + 8) / 1.5, -30, 30)))
    shadow = 1 - 0.6 * scene.shade * edge
    return cast("Plane", (card * bend * slope * shadow).astype(np.float32))


def _room(scene: Scene, rng: np.random.Generator) -> Plane:
    """A wall, furniture, shelves with book backs, a person: out of focus, and busy enough to distract."""
    height, width = scene.height, scene.width
    room = np.full((height, width), 0.55, np.float32)
    room += np.linspace(-0.15, 0.1, width, dtype=np.float32)[None, :]
    for _ in range(14):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(20, width // 3)), int(rng.integers(20, height // 2))
        cv2.rectangle(room, (x, y), (x + w, y + h), float(rng.uniform(0.1, 0.9)), -1)
    shelf = int(rng.integers(0, max(1, height - 120)))
    for x in range(0, width, int(rng.integers(9, 26))):
        cv2.rectangle(room, (x, shelf), (x + 8, shelf + 90), float(rng.uniform(0.1, 0.9)), -1)
    body = (int(width * rng.uniform(0.2, 0.8)), int(height * 0.9))
    cv2.ellipse(room, body, (width // 4, height // 2), 0, 0, 360, float(rng.uniform(0.15, 0.6)), -1)
    return cast("Plane", cv2.GaussianBlur(room, (0, 0), float(rng.uniform(1, 5))))


def _hand(scene: Scene, picture: Plane, u: Plane, v: Plane) -> Plane:
    """A palm behind the card's lower corner."""
    alpha = _falloff(Blob(20, 45, 45, 26, 0.9, 0, 0.06), u, v)
    return cast("Plane", picture * (1 - alpha) + 0.5 * alpha)


def _lens(scene: Scene, picture: Plane) -> Plane:
    """Defocus as a disc, motion as a line."""
    if scene.defocus_px > 0.3:
        radius = int(np.ceil(scene.defocus_px))
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        disc = np.clip(scene.defocus_px + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
        picture = cast("Plane", cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE))
    if scene.motion_px > 1:
        size = int(np.ceil(scene.motion_px)) | 1
        line = np.zeros((size + 2, size + 2), np.float32)
        middle, reach = (size + 1) / 2, scene.motion_px / 2
        step = (reach * np.cos(scene.motion_turn), reach * np.sin(scene.motion_turn))
        ends = [(int(256 * (middle + f * step[0])), int(256 * (middle + f * step[1]))) for f in (-1, 1)]
        cv2.line(line, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 8)
        picture = cast("Plane", cv2.filter2D(picture, -1, line / line.sum(), borderType=cv2.BORDER_REPLICATE))
    return picture


def _sensor(scene: Scene, picture: Plane, rng: np.random.Generator) -> Gray:
    """Shot and read noise, the camera's own sharpening, its curve, and JPEG."""
    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    linear = np.clip(picture, 0, 1)
    noisy = linear + scene.noise * np.sqrt(0.02 + linear) * grain
    if scene.noise > 0.03:  # cameras smooth what is dark, which leaves blotches
        noisy = cv2.GaussianBlur(noisy, (0, 0), 0.8)
    if scene.sharpening > 0:
        noisy = noisy + scene.sharpening * (noisy - cv2.GaussianBlur(noisy, (0, 0), 1.2))
    grey = (255 * np.clip(noisy, 0, 1) ** 0.9).astype(np.uint8)
    _, packed = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg_quality])
    return cast("Gray", cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE))
