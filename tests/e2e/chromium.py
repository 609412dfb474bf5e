"""Debian's Chromium for tests, and what is measured on a page that it shows."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

EXECUTABLE: Final = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Text cut off, outside the screen, too small or over other text, and targets that are too low. After Roomlink's rules for
# screens: a schedule row that does not fit goes as a whole, and ellipsis is meant where a class says so.
_LAYOUT: Final = r"""
(least) => {
  const found = [], leaves = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode, element = node.parentElement, style = getComputedStyle(element);
    if (!node.data.trim() || style.visibility === "hidden" || element.closest("template, script, style")) continue;
    const row = element.closest(".rl-sched > li");
    if (row && row.getBoundingClientRect().left >= row.parentElement.getBoundingClientRect().right - 1) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const size = parseFloat(style.fontSize), text = node.data.trim().slice(0, 30);
    if (size < least.text_px - 0.01) found.push(`small ${size}: ${text}`);
    const clamped = element.closest(".rl-one, .rl-two");
    const limit = clamped?.getBoundingClientRect();
    for (let box of range.getClientRects()) {
      if (box.width < 2) continue;
      if (limit && box.top > limit.bottom - 2) continue;
      const right = limit ? Math.min(box.right, limit.right) : box.right;
      if (box.left < -1 || right > innerWidth + 1 || box.top < -1 || box.bottom > innerHeight + 1) found.push(`outside: ${text}`);
      for (let up = element; up && up !== document.body; up = up.parentElement) {
        if (up.matches(".rl-one, .rl-two")) break;
        if (getComputedStyle(up).overflowX === "visible") continue;
        const edge = up.getBoundingClientRect();
        if (right > edge.right + 1 || box.bottom > edge.bottom + 1) found.push(`clipped: ${text}`);
        break;
      }
      const ink = size * 0.18;
      leaves.push({ element, text, left: box.left, right, top: box.top + ink, bottom: box.bottom - ink });
    }
  }
  for (const [index, a] of leaves.entries())
    for (const b of leaves.slice(index + 1))
      if (a.element !== b.element && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
          && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2) found.push(`overlap: ${a.text} / ${b.text}`);
  const targets = [...document.querySelectorAll("button, a, input")].map((e) => [e, e.getBoundingClientRect()]);
  for (const [e, box] of targets) {
    if (box.height < least.touch_px) found.push(`touch ${box.height}: ${e.textContent.trim().slice(0, 20)}`);
    if (least.lowest_px && innerHeight > innerWidth && box.top < innerHeight - least.lowest_px - 1)
      found.push(`too high: ${e.textContent.trim().slice(0, 20)} ${box.top}`);
    for (const [f, other] of targets) {
      const across = Math.max(box.left, other.left) - Math.min(box.right, other.right);
      const down = Math.max(box.top, other.top) - Math.min(box.bottom, other.bottom);
      if (e !== f && Math.max(across, down) < least.apart_px - 1) found.push(`close: ${e.textContent} / ${f.textContent}`);
    }
  }
  const texts = [...document.querySelectorAll("main > section, main > nav, main > div, main > header, main > footer")]
    .map((e) => [e, e.getBoundingClientRect()]);
  for (const [index, [e, a]] of texts.entries())
    for (const [f, b] of texts.slice(index + 1)) {
      const inner = [...e.children].map((c) => c.getBoundingClientRect());
      const low = Math.max(a.top, ...inner.map((c) => c.bottom)), wide = Math.max(a.left, ...inner.map((c) => c.right));
      if (low > b.top + 2 && a.top < b.top && wide > b.left + 2 && a.left < b.right - 2)
        found.push(`over: ${e.className} / ${f.className}`);
    }
  if (document.documentElement.scrollWidth > innerWidth + 1) found.push("scrolls sideways");
  return [...new Set(found)];
}
"""

# A dialog that fades in has, for some frames, less contrast than anybody will read it with, and begins to do so two frames
# after it is there; what never ends is left out.
_SETTLED: Final = """
async () => {
  const frame = () => new Promise((then) => requestAnimationFrame(then));
  const moving = () => document.getAnimations().filter((each) => Number.isFinite(each.effect?.getComputedTiming().endTime)
    && each.playState === "running");
  for (let still = 0, turns = 0; still < 3 && turns < 100; still += 1, turns += 1) {
    await frame();
    const running = moving();
    if (running.length) still = -1;
    await Promise.allSettled(running.map((each) => each.finished));
  }
}
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)
        yield browser
        browser.close()


def layout_faults(page: Page, *, text_px: float, touch_px: float, apart_px: float, lowest_px: float = 0) -> list[str]:
    """What is cut, outside, overlapping, too small or too close; ``lowest_px``: targets in portrait lie within it."""
    least = {"text_px": text_px, "touch_px": touch_px, "apart_px": apart_px, "lowest_px": lowest_px}
    found: list[str] = page.evaluate(_LAYOUT, least)
    return found


def axe_faults(page: Page, *, enhanced: bool = False) -> list[str]:
    """What axe finds at all once the page has stopped moving; ``enhanced`` asks for AAA contrast too."""
    page.evaluate(_SETTLED)
    tags = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
    options: dict[str, Any] = {"runOnly": tags, "resultTypes": ["violations"]}
    if enhanced:
        options |= {"runOnly": [*tags, "wcag2aaa"], "rules": {"color-contrast-enhanced": {"enabled": True}}}
    results: dict[str, Any] = Axe().run(page, options=options).response
    return [f"{v['impact']} {v['id']}: {v['nodes'][0]['target']}" for v in results["violations"]]
