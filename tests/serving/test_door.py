"""Nobody but a browser on this machine that was given the address is answered."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipetrace.errors import PipetraceError, RunFileError
from pipetrace.serving.process import desk_of, served
from serving.conftest import Client, Serve, until, write


@pytest.fixture
def client(serve: Serve, tmp_path: Path) -> Client:
    write(tmp_path / "runs" / "a.pipetrace")
    write(tmp_path / "outside.pipetrace")
    (tmp_path / "runs" / "link.pipetrace").symlink_to(tmp_path / "outside.pipetrace")
    (tmp_path / "runs" / "notes.txt").write_text("private")
    return serve(tmp_path / "runs")


def test_the_page_is_given_with_the_strictest_policy(client: Client):
    answer = client.ask("/")
    assert answer.status == 200
    policy = dict(part.strip().partition(" ")[::2]
                  for part in answer.headers["content-security-policy"].split(";"))  # fmt: skip
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["script-src"].startswith("'sha256-")
    assert " " not in policy["script-src"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/events", "/run/x", "/run/x/events", "/nothing"])
def test_without_the_token_nothing_is_told(client: Client, path: str):
    for token in ("", "wrong", client.token[:-1], client.token + "x", client.token.swapcase()):
        answer = client.ask(path, token=token or "-")
        assert answer.status == 403
        assert "has no token, or that of another server" in answer.text
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert client.ask(path + "?token=", token="").status == 403
    assert client.ask(path + f"?token=%ff{client.token}", token="").status == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[::1]",
                                  "127.0.0.1:80:80", "127.0.0.1@evil.example", ""])  # fmt: skip
def test_another_host_is_refused(client: Client, host: str):
    answer = client.ask("/", Host=host)
    assert answer.status in (400, 403)
    assert client.url.partition("?token=")[2] not in answer.text


def test_localhost_will_do_and_so_will_a_forwarded_port(client: Client):
    assert client.ask("/", Host=f"localhost:{client.host.partition(':')[2]}").status == 200
    assert client.ask("/", Host="LOCALHOST:1").status == 200


def test_another_origin_is_refused(client: Client):
    assert client.ask("/", Origin=f"http://{client.host}").status == 200
    for origin in ("null", "http://evil.example", f"https://{client.host}",
                   "http://127.0.0.1:1", f"http://{client.host}.evil.example"):  # fmt: skip
        assert client.ask("/", Origin=origin).status == 403
        assert client.post("/run/x/act", {}, Origin=origin).status == 403


def test_what_is_posted_needs_an_origin_and_is_json(client: Client):
    path = f"/run/{client.runs()[0]['id']}/act"
    assert client.ask(path, "POST", {}, Content_Type="application/json").status == 403
    for form in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        assert client.post(path, {}, Content_Type=form).status == 415
    answer = client.post(path, {"name": "rerun"}, Content_Type="application/json; charset=utf-8")
    assert answer.status == 409
    assert "No process stands behind this run" in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_not_known(client: Client, method: str):
    ours = {"Origin": f"http://{client.host}", "Content_Type": "application/json"}
    assert client.ask("/", method, "" if method == "POST" else None, **ours).status == 405
    assert client.ask("/run/x/act", "GET").status == 405


def test_only_listed_runs_are_served(client: Client, tmp_path: Path):
    runs = client.runs()
    assert [run["name"] for run in runs] == ["a"]
    for path in ("/run/a", "/run/a.pipetrace", "/run/../outside.pipetrace", "/run/%2e%2e%2foutside",
                 "/run/..%2foutside.pipetrace", "/run/notes.txt", "/run/link", "/run/%00",
                 f"/run/{tmp_path}/outside.pipetrace", "//etc/passwd", "/../notes.txt",
                 "/run/live", f"/compare/{runs[0]['id']}/outside"):  # fmt: skip
        answer = client.ask(path)
        assert answer.status in (404, 400), path
        assert "private" not in answer.text
    assert client.ask(f"/run/{runs[0]['id']}").status == 200


def test_a_run_that_becomes_a_way_out_is_served_no_more(client: Client, tmp_path: Path):
    path = f"/run/{client.runs()[0]['id']}"
    assert "a.py" in client.ask(path).text
    inside = tmp_path / "runs" / "a.pipetrace"
    inside.unlink()
    inside.symlink_to(tmp_path / "outside.pipetrace")
    answer = client.ask(path)
    assert "The run file is gone" in answer.text
    assert "outside.py" not in answer.text
    until(lambda: client.runs() == [])


def test_it_listens_to_this_machine_alone(client: Client):
    port = int(client.host.partition(":")[2])
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("what listens is read from /proc")
    listening = [line.split()[1] for line in table.read_text().splitlines()[1:]
                 if line.split()[3] == "0A"]  # fmt: skip
    assert [where for where in listening if where.endswith(f":{port:04X}")] == [
        f"0100007F:{port:04X}"
    ]
    other = Path("/proc/net/tcp6")
    six = other.read_text().splitlines()[1:] if other.exists() else []
    assert not [line for line in six if line.split()[1].endswith(f":{port:04X}")]


def test_a_taken_port_and_a_missing_place_are_said(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        make, _ = desk_of(tmp_path)
        with pytest.raises(PipetraceError, match=f"Port {port} cannot be used .*leave out --port"):
            served(make, port).__enter__()
    with pytest.raises(RunFileError, match="there is no such run file or folder"):
        desk_of(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(RunFileError, match="this is not a run file"):
        desk_of(tmp_path / "a.txt")
