"""Asks axe-core about a page, and computes the contrast of what axe could not decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MOST = 90
"""The most controls that are tried on one page."""

CONTRAST = """
(selectors) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, below) => [
    ...[0, 1, 2].map((at) => top[at] * top[3] + below[at] * (1 - top[3])), 1];
  const light = (colour) => {
    const [red, green, blue] = colour.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const faded = (element) => {
    let share = 1;
    for (let each = element; each; each = each.parentElement)
      share *= Number(getComputedStyle(each).opacity);
    return share;
  };
  const ground = (element) => {
    const look = getComputedStyle(element);
    const drawn = element instanceof SVGElement && element.tagName !== "svg"
      && element.tagName !== "text" && element.tagName !== "g";
    const colour = parse(drawn ? look.fill === "none" ? "transparent" : look.fill
      : look.backgroundColor);
    colour[3] *= faded(element);
    return colour;
  };
  return selectors.flatMap((selector) => {
    const element = document.querySelector(selector);
    if (!element) return [];
    element.scrollIntoView({ block: "center", inline: "nearest" });
    const texts = [...element.childNodes].filter(
      (node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    return texts.flatMap((node) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      const box = [...range.getClientRects()].find((each) => each.width > 1 && each.height > 1);
      if (!box) return [];
      const stack = document.elementsFromPoint(box.x + box.width / 2, box.y + box.height / 2);
      if (!stack.includes(element)) return [];
      const below = stack.slice(stack.indexOf(element)).reverse();
      const paper = below.reduce((under, each) => over(ground(each), under), [255, 255, 255, 1]);
      const look = getComputedStyle(element);
      const ink = parse(element instanceof SVGElement ? look.fill : look.color);
      ink[3] *= faded(element);
      const [high, low] = [light(over(ink, paper)), light(paper)].sort((a, b) => b - a);
      const size = parseFloat(look.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(look.fontWeight) >= 700);
      const ratio = (high + 0.05) / (low + 0.05);
      const said = node.textContent.trim().slice(0, 30);
      return [{ selector, said, ratio, needed: large ? 3 : 4.5 }];
    });
  });
}
"""
NEXT = """
(limit) => {
  const kinds = (window.tried ??= new Map());
  const wanted = "button, [role=tab], [role=treeitem], [role=slider], summary, input, select";
  for (const element of document.querySelectorAll("main :is(" + wanted + ")")) {
    if (!element.checkVisibility() || element.getAttribute("aria-disabled") === "true") continue;
    if (element.disabled) continue;
    const block = element.closest(".block");
    const words = (element.getAttribute("aria-label") ?? element.textContent).replace(/\\d+/g, "#");
    const short = element.matches("[role=treeitem], input") ? "" : words.slice(0, 24);
    const kind = [block?.className, element.tagName, element.type, element.role, short].join("|");
    const times = kinds.get(kind) ?? 0;
    if (times >= limit) continue;
    kinds.set(kind, times + 1);
    document.querySelector("[data-tried]")?.removeAttribute("data-tried");
    document.querySelector("[data-place]")?.removeAttribute("data-place");
    element.setAttribute("data-tried", "");
    (block ?? element).setAttribute("data-place", "");
    return { kind, type: element.type ?? "", role: element.getAttribute("role") ?? "" };
  }
  return null;
}
"""


def problems(tab: Any, place: str | None = None, forced: bool = False) -> list[str]:
    """Return what is wrong on a page, or inside of one of its elements.

    Args:
        tab: A page of Playwright.
        place: A CSS selector.
        forced: Whether colours are forced. Then contrast is computed here alone: axe reads
            `-webkit-text-fill-color`, which Chromium leaves as the page had it.
    """
    options = {
        "runOnly": {"type": "tag", "values": TAGS},
        "resultTypes": ["violations", "incomplete"],
    }
    # What is out of sight has no layout, and axe-core would measure it all the same.
    tab.evaluate(
        "document.querySelectorAll('section').forEach((one) => "
        "one.style.setProperty('content-visibility', 'visible'))"
    )
    if tab.evaluate("window.axe === undefined"):
        tab.evaluate(Axe().axe_script)
    run = "([place, options]) => axe.run(place ?? document, options)"
    found = tab.evaluate(run, [place, options])
    contrast = "color-contrast"
    sure = [rule for rule in found["violations"] if not forced or rule["id"] != contrast]
    wrong = [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {node['html'][:90]}"
        for rule in sure
        for node in rule["nodes"]
    ]
    left = [rule for rule in found["violations"] if rule not in sure] + found["incomplete"]
    unsure = [rule for rule in left if rule["id"] == contrast]
    targets = [str(node["target"][-1]) for rule in unsure for node in rule["nodes"]]
    return wrong + [
        f"contrast {each['ratio']:.2f} of {each['needed']}: {each['selector']}: {each['said']}"
        for each in tab.evaluate(CONTRAST, targets)
        if each["ratio"] < each["needed"]
    ]


def states(tab: Any, limit: int = 1) -> Iterator[str]:
    """Use one control after the other, `limit` of each kind, and yield what was used.

    Args:
        tab: A page of Playwright; after each step `[data-place]` is the block of the control.
        limit: How many controls of one kind to use.
    """
    for _ in range(MOST):
        control = tab.evaluate(NEXT, limit)
        if control is None:
            return
        element = tab.locator("[data-tried]")
        if control["type"] == "range" or control["role"] == "slider":
            element.focus()
            element.press("End")
        elif control["type"] in ("text", "search"):
            element.fill("e")
        elif control["type"] == "number":
            element.focus()
        elif control["type"] == "select-one":
            element.select_option(index=1)
        else:
            element.click(force=control["type"] in ("radio", "checkbox"))
        yield control["kind"]
    raise AssertionError(f"more than {MOST} kinds of controls")
