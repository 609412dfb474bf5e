"""What is drawn on a card."""

import io
import xml.etree.ElementTree as ET

import pytest
import zxingcpp
from PIL import Image

from cloud.credentials.cards import CARDS_PER_PAGE, as_pages, as_png, as_svg
from cloud.credentials.service import Card

TEXT = "RL1:" + "0123456789ABCDEF$%*+-./:" * 8
LONG = "这是一个名字特别长的示例机构" * 8


def card(organisation: str = "示例机构", organisation_en: str = "", name: str = "") -> Card:
    return Card("0" * 16, TEXT, "1234 5678 9012", organisation, organisation_en, name)


@pytest.mark.parametrize("shown", [card(), card(LONG, LONG, LONG), card("مركز", "Center & <Co>"), card("")])
def test_a_picture_can_be_read_whatever_is_written_under_it(shown: Card) -> None:
    picture = Image.open(io.BytesIO(as_png(shown)))
    assert [
        code.text
        for code in zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode]))
    ] == [TEXT]
    assert picture.width >= 61 * 6


@pytest.mark.parametrize("shown", [card(), card(LONG, "<script>", '"&'), card("مركز")])
def test_a_drawing_is_well_formed_and_has_the_size_of_a_card(shown: Card) -> None:
    root = ET.fromstring(as_svg(shown))
    assert (root.get("width"), root.get("height")) == ("85.6mm", "53.98mm")
    written = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert written[-1] == shown.number
    assert written[0] is not None
    assert shown.organisation.startswith(written[0])


def test_long_lines_are_wrapped_and_cut_so_that_the_number_stays_free() -> None:
    root = ET.fromstring(as_svg(card(LONG, "An Example Of An Organisation With A Long Name " * 3, LONG)))
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
    assert len(texts) == 3 + 2 + 2 + 1
    heights = [float(element.get("y", "0")) for element in texts]
    assert heights == sorted(heights)
    assert heights[-1] - heights[-2] > 4
    assert texts[2].text is not None
    assert texts[2].text.endswith("…")
    assert texts[3].text == "An Example Of An"


@pytest.mark.parametrize(("number", "pages"), [(0, 0), (1, 1), (CARDS_PER_PAGE, 1), (CARDS_PER_PAGE + 1, 2)])
def test_a_page_has_room_for_ten_cards(number: int, pages: int) -> None:
    document = as_pages([card()] * number, "<Cards>")
    assert document.count("<section>") == pages
    assert document.count("<svg") == number
    assert "<Cards>" not in document
