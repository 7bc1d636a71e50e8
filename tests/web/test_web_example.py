"""examples/web over the loopback: what clients get for scripts of every kind."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

PATIENCE = 60
EXAMPLE = Path(__file__).parents[2] / "examples/web"


@pytest.fixture(scope="module")
def server():
    """A server of the example, on a port of its own."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "--fd",
            str(listening.fileno()),
            "--log-level",
            "warning",
            "app:app",
        ]
        process = subprocess.Popen(
            command, cwd=EXAMPLE, pass_fds=[listening.fileno()], stderr=subprocess.PIPE, text=True
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:
        yield client
    hosts = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert err == ""
    assert hosts
    assert not psutil.wait_procs(hosts, timeout=PATIENCE)[1]


def answer(kind, messages=(), output="", error=None):
    return {"kind": kind, "messages": list(messages), "output": output, "error": error}


@pytest.mark.parametrize(
    ("script", "status", "expected"),
    [
        ("for i = 1, 3 do worker.message(i * i) end", 200, answer("returned", [1, 4, 9])),
        ("print('hello') worker.message({a = {1, 2}})", 200, answer("returned", [{"a": [1, 2]}], "hello\n")),
        ("os.exit(3)", 200, answer("exited")),
        (
            "worker.message(1) worker.message(2) error('oh no')",
            422,
            answer("error", [1, 2], error="posted.lus:1: oh no"),
        ),
        ("x = = 1", 422, answer("load", error="posted.lus:1:5: ")),
        ("io.open('/etc/passwd')", 422, answer("denied", error='posted.lus: permission "fs:read" denied')),
        ("worker.create('x.lus')", 422, answer("denied", error='posted.lus: permission "load" denied')),
        ("while true do end", 422, answer("cpu", error="posted.lus:1: cpu limit exceeded: ")),
        ("worker.peek()", 422, answer("time", error="posted.lus:1: time limit exceeded: ")),
        ("local t = {} while true do t[#t + 1] = {t} end", 422, answer("memory", error="posted.lus:1: memory limit")),
        ("worker.message('\\xff')", 422, answer("refused", error="a message that JSON cannot hold: ")),
        ("local t = {} t.t = t worker.message(t)", 422, answer("refused", error="a message that JSON cannot hold: ")),
        ("-" * 70_000, 413, answer("refused", error="a script has at most 65536 bytes")),
    ],
)
def test_what_a_client_gets(server, script, status, expected):
    response = server.post("/run", content=script)
    found = response.json()
    assert response.status_code == status, found
    if expected["error"] is not None:
        assert found["error"].startswith(expected["error"])
        found["error"] = expected["error"]
    assert found == expected


@pytest.mark.parametrize("script", ["while true do print('x') end", "while true do worker.message('x') end"])
def test_one_that_never_stops_talking_is_stopped(server, script):
    response = server.post("/run", content=script)
    assert response.status_code == 422
    assert response.json()["kind"] in {"output", "cpu", "time"}
    assert len(response.content) < 1 << 20


def test_a_client_that_goes_away_takes_its_script_with_it(server):
    """However many do, the next one is served."""
    for _ in range(20):
        with socket.create_connection((server.base_url.host, server.base_url.port)) as connection:
            body = b"worker.peek()"
            connection.sendall(b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert server.post("/run", content="worker.message('served')").json() == json.loads(
        '{"kind": "returned", "messages": ["served"], "output": "", "error": null}'
    )
