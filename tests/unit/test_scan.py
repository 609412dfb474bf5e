"""`scan`: a line for every picture, a sentence for what is none."""

import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import segno
from PIL import Image

from edge.kiosk.decoding import MAX_PIXELS
from edge.kiosk.pictures import MAX_BYTES, PictureError, load_grey
from edge.kiosk.scan import scan_files


def card(path: Path, text: str = "HELLO ROOM", light: str | None = "white") -> Path:
    segno.make_qr(text).save(str(path), scale=6, light=light)
    return path


def scanned(*paths: Path, as_json: bool = False) -> tuple[list[str], list[str]]:
    output, errors = io.StringIO(), io.StringIO()
    scan_files(paths, as_json=as_json, output=output, errors=errors)
    return output.getvalue().splitlines(), errors.getvalue().splitlines()


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header claims a size, whatever its data hold."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_prints_path_tab_text(tmp_path: Path) -> None:
    path = card(tmp_path / "a.png")
    assert scanned(path) == ([f"{path}\tHELLO ROOM"], [])


def test_picture_without_a_code_has_an_empty_text(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    Image.new("L", (300, 200), 128).save(path)
    assert scanned(path) == ([f"{path}\t"], [])


def test_json_adds_milliseconds_and_stage(tmp_path: Path) -> None:
    path = card(tmp_path / "a.png", "活动\n室")
    lines, _ = scanned(path, as_json=True)
    line = json.loads(lines[0])
    assert (line["path"], line["text"], line["stage"]) == (str(path), "活动\n室", "plain")
    assert 0 < line["ms"] < 5000


def test_json_of_nothing_read_has_no_stage(tmp_path: Path) -> None:
    lines, errors = scanned(tmp_path / "missing.png", as_json=True)
    line = json.loads(lines[0])
    assert (line["text"], line["stage"]) == ("", None)
    assert errors == [f"{tmp_path / 'missing.png'}: There is no such file."]


def test_every_picture_has_its_line_in_order(tmp_path: Path) -> None:
    first, broken, last = card(tmp_path / "1.png", "ONE"), tmp_path / "2.png", card(tmp_path / "3.png", "TWO")
    broken.write_bytes(b"not a picture")
    lines, errors = scanned(first, broken, last)
    assert lines == [f"{first}\tONE", f"{broken}\t", f"{last}\tTWO"]
    assert len(errors) == 1


def test_line_is_written_before_the_next_picture_is_opened(tmp_path: Path) -> None:
    output = io.StringIO()
    seen: list[str] = []

    def paths() -> Iterator[Path]:
        for name in ("1.png", "2.png"):
            seen.append(output.getvalue())
            yield card(tmp_path / name)

    scan_files(paths(), output=output, errors=io.StringIO())
    assert [text.count("\n") for text in seen] == [0, 1]


def test_line_ends_in_a_text_stay_on_one_line(tmp_path: Path) -> None:
    path = card(tmp_path / "a.png", "one\ntwo\tthree")
    assert scanned(path)[0] == [f"{path}\tone\\ntwo\\tthree"]


@pytest.mark.parametrize("side", [100_000, 2**31 - 1])
def test_picture_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, zlib.compress(b"\0" * 1000)))
    lines, errors = scanned(path)
    assert lines == [f"{path}\t"]
    assert len(errors) == 1
    assert "pixels" in errors[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a picture"),
        (b"just words", "not a picture"),
        (b"\xff\xd8\xff\xe0 cut", "damaged"),
        (png(50, 50), "damaged"),
        (png(50, 50, b"no deflate"), "damaged"),
        (b"GIF89a" + bytes(20), "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>", "not a picture"),
    ],
)
def test_what_is_no_picture_gets_one_clear_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    lines, errors = scanned(path)
    assert lines == [f"{path}\t"]
    assert len(errors) == 1
    assert sentence in errors[0]


def test_cut_photograph_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.effect_noise((400, 400), 90).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(PictureError, match="damaged"):
        load_grey(path)


def test_folder_and_device_are_no_files(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(PictureError, match="not a regular file"):
            load_grey(path)


def test_oversized_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PictureError, match="bytes"):
        load_grey(path)


def test_path_with_a_null_byte_is_refused() -> None:
    with pytest.raises(PictureError, match="cannot be read"):
        load_grey(Path("a\0b"))


def test_largest_size_is_the_decoders() -> None:
    assert MAX_PIXELS == 64_000_000


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_is_read(tmp_path: Path, mode: str) -> None:
    with Image.open(card(tmp_path / "a.png")) as drawn:
        grey = drawn.convert("L")
    values = np.asarray(grey)
    if mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16) * 200)
    elif mode == "F":
        image = Image.fromarray(values.astype(np.float32) / 255)
    else:
        image = grey.convert(mode)
    path = tmp_path / ("b.tif" if mode in ("CMYK", "F") else "b.png")
    image.save(path)
    assert scanned(path)[0] == [f"{path}\tHELLO ROOM"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tif", "ppm"])
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"b.{suffix}"
    with Image.open(card(tmp_path / "a.png")) as drawn:
        drawn.convert("RGB").save(path)
    assert scanned(path)[0] == [f"{path}\tHELLO ROOM"]


def test_transparent_ground_counts_as_white(tmp_path: Path) -> None:
    path = card(tmp_path / "clear.png", light=None)
    with Image.open(path) as drawn:
        assert "transparency" in drawn.info or "A" in drawn.getbands()
    assert scanned(path)[0] == [f"{path}\tHELLO ROOM"]


def test_randomly_damaged_pictures_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with Image.open(card(tmp_path / "a.png")) as drawn:
        drawn.load()
        for suffix in ("jpg", "png", "webp", "gif", "tif", "bmp"):
            whole = tmp_path / f"whole.{suffix}"
            drawn.convert("RGB").save(whole)
            content = np.frombuffer(whole.read_bytes(), np.uint8)
            for number in range(40):
                bad = content.copy()
                places = rng.integers(0, min(len(bad), 300 if number % 2 else len(bad)), 6)
                bad[places] = rng.integers(0, 256, 6)
                path = tmp_path / f"bad.{suffix}"
                path.write_bytes(bad.tobytes())
                lines, errors = scanned(path)
                assert len(lines) == 1
                assert len(errors) <= 1


def test_a_photograph_without_its_end_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = card(tmp_path / "a.png")
    photograph = Image.open(path).convert("L")
    wall = Image.effect_noise((photograph.width, 3 * photograph.height), 40)
    wall.paste(photograph, (0, 0))
    whole = io.BytesIO()
    wall.save(whole, "JPEG")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole.getvalue()[: len(whole.getvalue()) * 8 // 10])
    lines, errors = scanned(cut)
    assert lines == [f"{cut}\tHELLO ROOM"]
    assert len(errors) == 1
    assert "damaged" in errors[0]


def test_light_modules_on_nothing_are_read(tmp_path: Path) -> None:
    path = tmp_path / "light.png"
    segno.make_qr("HELLO ROOM").save(str(path), scale=6, dark="white", light=None)
    assert scanned(path) == ([f"{path}\tHELLO ROOM"], [])


def test_a_picture_longer_than_any_is_refused_and_the_next_one_read(tmp_path: Path) -> None:
    long, last = tmp_path / "long.png", card(tmp_path / "last.png")
    Image.new("L", (70_000, 2), 255).save(long)
    lines, errors = scanned(long, last)
    assert lines == [f"{long}\t", f"{last}\tHELLO ROOM"]
    assert "70,000 pixels long" in errors[0]
