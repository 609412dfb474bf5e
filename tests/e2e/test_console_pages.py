"""Every page of the console: in its language, without raw keys, without a complaint of the browser or of axe, at every width."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chromium import axe_faults
from tests.e2e.console_pages import busy_stack, pages
from tests.e2e.console_stack import Stack, visiting
from tests.e2e.console_town import ACTIVITIES, PEOPLE, ROOMS

RAW_KEY = re.compile(r"\b(nav|overview|members|import|activities|occurrence|rooms|terminals?|twin|quarantine|audit|"
                     r"page|outcome|alarm|alarm_rule|alarm_event|window|reason|method|presence|sessions|confirm|command|"
                     r"receiver|told|letter|letter_what|undelivered|weekday|"
                     r"timeline|readings|metric|evidence|trouble|mark|problem|search|kind|saved_view)\.[a-z_]+\b")  # fmt: skip


OVER = """() => {
  const found = document.documentElement.scrollWidth > innerWidth ? [`wide ${document.documentElement.scrollWidth}`] : [];
  for (const grid of document.querySelectorAll(".rl-grid, .rl-tiles, .rl-stack, .rl-head, .rl-top")) {
    const boxes = [...grid.children].map((child) => [child, child.getBoundingClientRect()]).filter(([, box]) => box.width);
    for (const [child, box] of boxes) {
      if (child.scrollWidth > child.clientWidth + 1 && getComputedStyle(child).overflowX === "visible")
        found.push(`runs over: ${child.textContent.slice(0, 40)}`);
      for (const [other, at] of boxes)
        if (child !== other && Math.min(box.right, at.right) - Math.max(box.left, at.left) > 1
            && Math.min(box.bottom, at.bottom) - Math.max(box.top, at.top) > 1)
          found.push(`over: ${child.textContent.slice(0, 20)} / ${other.textContent.slice(0, 20)}`);
    }
  }
  return found;
}"""
"""What runs out of the page or its column, or lies over its neighbour."""

SAID = """() => {
  const texts = [], own = "script, style, template, pre, .mono, [lang], .nicegui-error-popup";
  const skip = (element) => { const inner = element.closest(own); return inner && inner !== document.documentElement; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const { data, parentElement: element } = walk.currentNode;
    if (!skip(element) && element.checkVisibility({ visibilityProperty: true })) texts.push(data);
  }
  for (const element of document.querySelectorAll("[aria-label], [placeholder], [title]"))
    if (!skip(element)) for (const name of ["aria-label", "placeholder"]) texts.push(element.getAttribute(name) ?? "");
  return [document.title, ...texts].map((text) => text.trim()).filter(Boolean);
}"""
"""All that a person or a reading voice is told; not code, what says that it is another language, and NiceGUI's popups."""

DATA = [
    *PEOPLE, *(name for room in ROOMS for name in room), *(name for each in ACTIVITIES for name in each),
    "Roomlink", "样例街道", "Sample District", "样例社区", "Sample Community", "Test Community",
]  # fmt: skip
"""Names that are data, whatever the page's language."""

TERMS = {"API", "CSV", "UTF", "GB", "RRULE", "Asia", "Shanghai", "admin", "operator", "viewer", "test", "mem", "name",
         "external", "id", "organisation", "kiosk", "spare", "T", "a", "s", "C", "MB", "KiB", "ms", "dBm"}  # fmt: skip
"""Latin words that Chinese pages hold on purpose: names of formats, of a file's columns, of accounts and terminals."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with busy_stack(tmp_path_factory.mktemp("pages")) as stack:
        yield stack


def foreign(page: Page, language: str) -> set[str]:
    """Words of the other language."""
    found = set()
    data = "|".join(map(re.escape, sorted(DATA, key=len, reverse=True)))
    for said in page.evaluate(SAID):
        text = re.sub(rf"{data}|…[0-9a-f]{{4}}", " ", said)
        if language == "en":
            found |= set(re.findall(r"[\u4e00-\u9fff]+", text))
        else:
            found |= {word for word in re.findall(r"[A-Za-z]+", text) if word not in TERMS}
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_page_says_a_word_in_the_other_language(stack: Stack, browser: Browser, language: str) -> None:
    with visiting(browser, stack.url, name="admin", language=language) as visitor:
        found = {path: foreign(visitor.go(path), language) for path in pages(stack)}
    assert {path: words for path, words in found.items() if words} == {}


def test_every_page_opens_without_a_complaint_of_the_browser_in_both_languages(stack: Stack, browser: Browser) -> None:
    for language, title in (("en", "Overview"), ("zh", "总览")):
        with visiting(browser, stack.url, name="admin", language=language) as visitor:
            for path in pages(stack):
                page = visitor.go(path)
                text = page.inner_text("body")
                assert not RAW_KEY.search(text), f"{path} shows {RAW_KEY.search(text)}"
                assert "{" not in text.replace('{"', "") or path in {"/audit", "/quarantine/1"}, path
            visitor.go("/")
            expect(visitor.page.get_by_role("heading", level=1)).to_have_text(title)
            assert [each for each in visitor.complaints if "404" not in each] == []


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh", "dark")])
def test_axe_finds_nothing(stack: Stack, browser: Browser, language: str, theme: str) -> None:
    with visiting(browser, stack.url, name="admin", language=language, theme=theme) as visitor:
        found = {path: axe_faults(visitor.go(path)) for path in pages(stack)}
    assert {path: faults for path, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    ("language", "width"), [("en", 320), ("zh", 320), ("en", 800), ("en", 1120), ("en", 1366), ("zh", 1680)]
)
def test_nothing_scrolls_sideways_or_lies_over_another(
    stack: Stack, browser: Browser, language: str, width: int
) -> None:
    with visiting(browser, stack.url, name="admin", language=language, width=width) as visitor:
        wide = {path: visitor.go(path).evaluate(OVER) for path in pages(stack)}
    assert {path: found for path, found in wide.items() if found} == {}
