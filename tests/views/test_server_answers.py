"""What a server says of an answer is said on its page, and decides whether it is sent again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import expect

from pipetrace.serving import documents
from pipetrace.views import data, demo
from views.learner import go_to, settle

pytestmark = pytest.mark.browser
GONE = "cannot be reached: it has ended"


class Answers(BaseHTTPRequestHandler):
    """Serves the lesson, and answers what is asked with what the test has laid down."""

    status, kind, text = 200, "application/json", '{"blocks": []}'
    asked = 0

    def do_GET(self) -> None:
        if "/events" in self.path:
            self.send_error(503)
            return
        page = data.plain(demo.lesson())
        sections = {each["id"]: each for each in page["sections"]}
        news = {**page, "sections": sections, "order": [*sections], "actions": ["learned"]}
        body = documents.run("t", data.encoded({**news, "version": 1})).body
        self._answer(200, "text/html", bytes(body))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        Answers.asked += 1
        self._answer(Answers.status, Answers.kind, Answers.text.encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """Open the lesson as its server sends it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    noise: list[str] = []
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.goto(f"http://127.0.0.1:{server.server_port}/lesson#quiz")
    settle(page)
    Answers.asked = 0
    yield page
    context.close()
    server.shutdown()
    thread.join()
    server.server_close()
    assert noise == []


def answer(tab: Any, monkeypatch: pytest.MonkeyPatch, status: int, kind: str, text: str) -> Any:
    """Let the server answer so, answer a question, and return what the page says of it."""
    for name, value in (("status", status), ("kind", kind), ("text", text)):
        monkeypatch.setattr(Answers, name, value)
    go_to(tab, "Practice")
    tab.get_by_role("radio", name="D 0.7143").check()
    tab.get_by_role("button", name="Check").first.click()
    return tab.locator(".kept")


@pytest.mark.parametrize(
    ("status", "kind", "text", "said"),
    [
        (409, "application/json", '{"error": "The disk is full."}', "The disk is full."),
        (500, "text/plain", "Internal Server Error", "answered 500: Internal Server Error"),
        (403, "text/plain", "no token\n", "The server answered 403: no token"),
        (502, "application/json", "[]", "The server answered 502: []"),
        (200, "application/json", "{", "The server answered 200: {"),
    ],
)
def test_what_may_pass_is_said_and_sent_again(
    tab: Any, monkeypatch: pytest.MonkeyPatch, status: int, kind: str, text: str, said: str
):
    kept = answer(tab, monkeypatch, status, kind, text)
    expect(kept).to_contain_text(said)
    expect(kept).to_contain_text("1 answer is not kept yet, and tried again as long as this page")
    assert GONE not in kept.inner_text()
    monkeypatch.undo()
    expect(kept).to_have_text("Your answers are kept in your own file.")
    assert Answers.asked == 2


def test_what_is_not_valid_is_sent_once(tab: Any, monkeypatch: pytest.MonkeyPatch):
    told = '{"error": "This is no event: Expected `int`."}'
    kept = answer(tab, monkeypatch, 400, "application/json", told)
    expect(kept).to_contain_text(
        "1 answer was refused, and is not kept: This is no event: Expected `int`."
    )
    tab.wait_for_timeout(3000)
    assert Answers.asked == 1
    tab.reload()
    settle(tab)
    assert Answers.asked == 1


def test_a_server_that_does_not_answer_has_ended(tab: Any):
    tab.route("**/act*", lambda route: route.abort())
    go_to(tab, "Practice")
    tab.get_by_role("radio", name="D 0.7143").check()
    tab.get_by_role("button", name="Check").first.click()
    expect(tab.locator(".kept")).to_contain_text(GONE)
