"""The hard pictures that the kiosk's decoder is tuned and measured on, drawn from seeds.

Seven kinds in turn (distance, angle, blur, glare, low light, curl, cover), each with a little of the others.
Tuning uses `TUNING_SEED`, every reported figure `REPORT_SEED`; nothing was ever chosen by looking at the
latter. Called by `tests.bench.qr`, and by the tests for single pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from tests.bench.qr_scene import Blob, Gray, Scene, render

TUNING_SEED = 1_000_000
REPORT_SEED = 7_000_000
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
SIZES = ((1280, 720), (1280, 720), (1280, 720), (640, 480), (1920, 1080), (1600, 1200))


class Kind(StrEnum):
    """What makes a picture hard."""

    DISTANCE = "distance"
    ANGLE = "angle"
    BLUR = "blur"
    GLARE = "glare"
    LOW_LIGHT = "low_light"
    CURL = "curl"
    COVER = "cover"


@dataclass(frozen=True)
class HardImage:
    """A picture, what its code says, and what makes it hard."""

    kind: Kind
    text: str
    image: Gray


def hard_images(seed: int, count: int) -> Iterator[HardImage]:
    """`count` pictures, the kinds in turn; picture i depends on `seed + i` alone."""
    kinds = list(Kind)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        scene = draw_scene(seed + index, kind)
        yield HardImage(kind, scene.text, render(scene))


def draw_scene(seed: int, kind: Kind) -> Scene:
    """The parameters of one picture."""
    rng = np.random.default_rng(seed)
    text = _payload(rng)
    base = _easy(rng, seed, text)
    return _HARDER[kind](base, rng)


def _payload(rng: np.random.Generator) -> str:
    """A credential's size: version 7 or 8 at level M, in the alphanumeric mode."""
    body = rng.integers(0, len(ALPHANUMERIC), int(rng.integers(156, 206)))
    return "RL1:" + "".join(ALPHANUMERIC[i] for i in body)


def _easy(rng: np.random.Generator, seed: int, text: str) -> Scene:
    """A card held well, with the small faults every picture has."""
    width, height = SIZES[rng.integers(len(SIZES))]
    largest = 0.62 * height / 49
    return Scene(
        seed=seed,
        text=text,
        width=width,
        height=height,
        module_px=float(rng.uniform(min(3.2, 0.8 * largest), min(8.0, largest))),
        offset=(float(rng.uniform(-0.12, 0.12)), float(rng.uniform(-0.1, 0.1))),
        yaw=float(rng.normal(0, 0.15)),
        pitch=float(rng.normal(0, 0.15)),
        roll=float(rng.normal(0, 0.25)),
        curl=float(rng.normal(0, 0.05)),
        curl_axis=float(rng.uniform(0, np.pi)),
        defocus_px=float(abs(rng.normal(0, 0.7))),
        motion_px=float(abs(rng.normal(0, 1.0))),
        motion_turn=float(rng.uniform(0, np.pi)),
        light=float(rng.uniform(0.65, 1.1)),
        ink=float(rng.uniform(0.05, 0.25)),
        shade=float(rng.uniform(0, 0.4)),
        noise=float(rng.uniform(0.005, 0.03)),
        sharpening=float(rng.uniform(0, 0.8)),
        jpeg_quality=int(rng.integers(70, 96)),
        quiet_zone=int(rng.integers(2, 5)),
        glares=(),
        covers=(),
    )


def _far(scene: Scene, rng: np.random.Generator) -> Scene:
    return replace(
        scene,
        module_px=float(rng.uniform(1.15, 2.4)),
        defocus_px=float(abs(rng.normal(0, 0.4))),
        motion_px=0.0,
    )


def _slanted(scene: Scene, rng: np.random.Generator) -> Scene:
    sign = rng.choice([-1.0, 1.0], 2)
    return replace(
        scene,
        module_px=max(scene.module_px, 3.0),
        yaw=float(sign[0] * rng.uniform(0.5, 1.1)),
        pitch=float(sign[1] * rng.uniform(0.0, 0.6)),
        roll=float(rng.uniform(-np.pi, np.pi)),
    )


def _blurred(scene: Scene, rng: np.random.Generator) -> Scene:
    share = float(rng.uniform(0.45, 1.0)) * scene.module_px
    if rng.random() < 0.5:
        return replace(scene, defocus_px=share)
    return replace(scene, motion_px=1.6 * share)


def _glaring(scene: Scene, rng: np.random.Generator) -> Scene:
    blobs = []
    for _ in range(int(rng.integers(1, 4))):
        long = float(rng.uniform(5, 24))
        blobs.append(
            Blob(
                x=float(rng.uniform(-20, 20)),
                y=float(rng.uniform(-20, 20)),
                long=long,
                short=float(long * rng.uniform(0.15, 0.8)),
                turn=float(rng.uniform(0, np.pi)),
                strength=float(rng.uniform(0.3, 1.4)),
                softness=float(rng.uniform(0.2, 1.0)),
            )
        )
    return replace(scene, glares=tuple(blobs))


def _dark(scene: Scene, rng: np.random.Generator) -> Scene:
    return replace(
        scene,
        light=float(rng.uniform(0.04, 0.25)),
        noise=float(rng.uniform(0.03, 0.11)),
        shade=float(rng.uniform(0.2, 0.8)),
        motion_px=float(rng.uniform(0, 0.6) * scene.module_px),
    )


def _curled(scene: Scene, rng: np.random.Generator) -> Scene:
    return replace(scene, curl=float(rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 1.0)))


def _covered(scene: Scene, rng: np.random.Generator) -> Scene:
    """A thumb from an edge, or scratches and stains; sometimes over a finder pattern."""
    turn = float(rng.uniform(-np.pi, np.pi))
    reach = float(rng.uniform(14, 25))
    thumb = Blob(
        x=float(reach * np.cos(turn) * 1.25),
        y=float(reach * np.sin(turn) * 1.25),
        long=float(rng.uniform(5, 11)),
        short=float(rng.uniform(3, 6)),
        turn=turn,
        strength=float(rng.uniform(0.35, 0.65)),
        softness=0.08,
    )
    stains = [
        Blob(
            x=float(rng.uniform(-24, 24)),
            y=float(rng.uniform(-24, 24)),
            long=float(rng.uniform(1.5, 7)),
            short=float(rng.uniform(0.4, 2.0)),
            turn=float(rng.uniform(0, np.pi)),
            strength=float(rng.choice([0.1, 0.5, 0.95])),
            softness=0.2,
        )
        for _ in range(int(rng.integers(0, 7)))
    ]
    return replace(scene, covers=(thumb, *stains))


_HARDER = {
    Kind.DISTANCE: _far,
    Kind.ANGLE: _slanted,
    Kind.BLUR: _blurred,
    Kind.GLARE: _glaring,
    Kind.LOW_LIGHT: _dark,
    Kind.CURL: _curled,
    Kind.COVER: _covered,
}
