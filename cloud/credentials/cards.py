"""Draws cards: QR code, card number in fours, organisation. As PNG, as SVG, and as A4 pages to print.

A card says nothing about who carries it, unless an operator asked for the name. A code is of version 7 or 8 at level
M (ISO/IEC 18004), black on white with a quiet zone of four modules, every module a whole number of pixels.
"""

import io
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

import segno
from PIL import Image, ImageDraw, ImageFont

from cloud.credentials.service import Card

WIDTH_MM, HEIGHT_MM = 85.6, 53.98  # ID-1 (ISO/IEC 7810)
QUIET = 4
CARDS_PER_PAGE = 10
PNG_MODULE = 8
"""Pixels a module: 57 modules with their quiet zone are 456 pixels, about 38 mm at 300 dpi."""

CJK = 0x2E80
"""From here on, characters are as wide as they are high, and lines break between any two."""

TEXT_LEFT, TEXT_ROOM = 56.5, 26.5
"""Where text begins on a card, and how wide it may be; millimetres."""

FONTS = '"Liberation Sans", "Noto Sans CJK SC", Arial, sans-serif'


def as_svg(card: Card) -> str:
    """One card at its true size."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_MM}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {WIDTH_MM} {HEIGHT_MM}" role="img" aria-label="{escape(card.number)}">'
        f"{_face(card)}</svg>"
    )


def as_png(card: Card) -> bytes:
    """One card as a picture; the organisation's name in a font of this machine that has its characters."""
    symbol = _symbol(card)
    side = int(symbol.symbol_size(scale=PNG_MODULE, border=QUIET)[0])
    code = io.BytesIO()
    symbol.save(code, kind="png", scale=PNG_MODULE, border=QUIET)
    lines = [line for line in (card.organisation, card.organisation_en, card.name) if line]
    picture = Image.new("L", (side, side + 70 + 44 * len(lines)), 255)
    picture.paste(Image.open(code).convert("L"), (0, 0))
    draw = ImageDraw.Draw(picture)
    _centred(draw, card.number, side, side + 4, 46)
    for place, line in enumerate(lines):
        _centred(draw, line, side, side + 66 + 44 * place, 30)
    out = io.BytesIO()
    picture.save(out, format="PNG", dpi=(300, 300))
    return out.getvalue()


def as_pages(cards: Sequence[Card], title: str = "Cards") -> str:
    """An HTML document of A4 pages, ten cards each, with lines to cut along. Nothing in it is loaded from elsewhere."""
    pages = [cards[start : start + CARDS_PER_PAGE] for start in range(0, len(cards), CARDS_PER_PAGE)]
    body = "".join(f"<section>{''.join(f'<div>{as_svg(card)}</div>' for card in page)}</section>" for page in pages)
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_PAGE_STYLE}</style></head><body>{body}</body></html>"
    )


_PAGE_STYLE = """
@page { size: A4; margin: 0 }
body { margin: 0; background: #fff }
section { width: 210mm; height: 297mm; box-sizing: border-box; padding: 13mm 19mm; display: grid;
  grid-template-columns: repeat(2, 85.6mm); grid-auto-rows: 54mm; break-after: page; overflow: hidden }
section:last-child { break-after: auto }
div { outline: .2mm dashed #999; width: 85.6mm; height: 54mm }
svg { display: block }
"""


def _face(card: Card) -> str:
    symbol = _symbol(card)
    modules = symbol.symbol_size(border=QUIET)[0]
    side = HEIGHT_MM - 4
    path = "".join(
        f"M{x + QUIET} {y + QUIET}h1v1h-1z" for y, row in enumerate(symbol.matrix) for x, dark in enumerate(row) if dark
    )
    text, top = "", 6.5
    for line, size, most in ((card.organisation, 3.4, 3), (card.organisation_en, 2.4, 2), (card.name, 3.0, 2)):
        for part in _wrapped(line, TEXT_ROOM / size, most):
            top += size * 1.3
            text += _text(top, size, part)
        top += 1.5
    text += _text(46, 3.3, card.number)
    return (
        f'<rect width="{WIDTH_MM}" height="{HEIGHT_MM}" fill="#fff"/>'
        f'<g transform="translate(2 2) scale({side / modules:.5f})" shape-rendering="crispEdges">'
        f'<path d="{path}"/></g>{text}'
    )


def _text(y: float, size: float, text: str) -> str:
    return f'<text x="{TEXT_LEFT}" y="{y:.1f}" font-size="{size}" font-family=\'{FONTS}\'>{escape(text)}</text>'


def _wrapped(text: str, room_em: float, most: int) -> list[str]:
    """`text` in at most `most` lines of `room_em`; the last one ends with … where it does not fit."""
    lines = [""]
    for place, character in enumerate(text):
        if _width_em(lines[-1] + character) > room_em:
            if len(lines) == most:
                lines[-1] = f"{lines[-1][:-1]}…"
                return lines
            head, space, tail = lines[-1].rpartition(" ")
            if space and character != " " and ord(text[place - 1]) < CJK:
                lines[-1] = head  # a word of letters goes on to the next line whole
                lines.append(tail)
            else:
                lines.append("")
        lines[-1] += character
    return [line.strip() for line in lines if line.strip()]


def _width_em(text: str) -> float:
    """About how wide it is, in sizes of its font."""
    return sum(1.0 if ord(each) >= CJK else 0.28 if each == " " else 0.58 for each in text)


def _symbol(card: Card) -> segno.QRCode:
    return segno.make_qr(card.text, error="m", mode="alphanumeric", boost_error=False)


def _centred(draw: ImageDraw.ImageDraw, text: str, width: int, top: int, size: int) -> None:
    font = _font(text, size)
    while len(text) > 1 and draw.textlength(text, font=font) > width - 16:
        size, text = (size - 2, text) if size > 20 else (size, f"{text.removesuffix('…')[:-1]}…")
        font = _font(text, size)
    left = (width - draw.textlength(text, font=font)) / 2
    draw.text((left, top), text, fill=0, font=font)


def _font(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    path = None if text.isascii() else _cjk_font()
    return ImageFont.truetype(str(path), size) if path else ImageFont.load_default(size)


@cache
def _cjk_font() -> Path | None:
    """A font with Chinese characters, as fontconfig knows it; None where there is none."""
    command = ["fc-match", "--format=%{file}", "sans-serif:lang=zh-cn"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    path = Path(found)
    return path if path.is_file() else None
