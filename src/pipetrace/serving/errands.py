"""A page asks the process that ran the script: over a private line, in JSON, when it has ended."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

import msgspec

from pipetrace.errors import PipetraceError
from pipetrace.serving import VARIABLE
from pipetrace.views import data

_PATIENCE = 120.0
_LARGEST = 64_000_000
Action = Callable[[dict[str, Any]], Sequence[Any]]


class Line:
    """The server's end: it waits for one call and asks what readers ask.

    Nothing is unpickled, and who calls must know a key that only the started process was told.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._listener = Listener(authkey=self._key)
        self._connection: Connection | None = None
        self._hello: dict[str, Any] = {}
        self._asking = threading.Lock()
        self._number = 0
        self._closed = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """What the process to be started must find in its environment."""
        told = {"address": self._listener.address, "key": self._key.hex()}
        return {VARIABLE: json.dumps(told)}

    @property
    def connected(self) -> bool:
        """Whether the script has ended and its process waits for what is asked."""
        return self._connection is not None

    @property
    def status(self) -> str:
        """How the script ended; empty as long as nobody has called."""
        return str(self._hello.get("status", ""))

    @property
    def code(self) -> int:
        """The exit code that the script ended with."""
        return int(self._hello.get("code", 0))

    @property
    def actions(self) -> tuple[str, ...]:
        """The names of what may be asked now."""
        return tuple(self._hello["actions"]) if self._connection is not None else ()

    def ask(self, name: str, arguments: dict[str, Any]) -> list[Any]:
        """Let the process do something, and return the blocks that it answers, as plain values.

        Raises:
            PipetraceError: it is gone, it takes too long, or it could not be done.
        """
        with self._asking:
            if (connection := self._connection) is None:
                raise PipetraceError("The process behind this page has ended.")
            self._number += 1
            asked = {"number": self._number, "name": name, "arguments": arguments}
            try:
                connection.send_bytes(json.dumps(asked).encode())
                answer: dict[str, Any] = {}
                while answer.get("number") != self._number:
                    # What answers a question that nobody waits for any more is passed over.
                    if not connection.poll(_PATIENCE):
                        raise PipetraceError(f"No answer came within {_PATIENCE:.0f} seconds.")
                    answer = msgspec.json.decode(connection.recv_bytes(_LARGEST))
            except (EOFError, OSError, msgspec.MsgspecError):
                self.lose()
                raise PipetraceError("The process behind this page has ended.") from None
            if "error" in answer:
                raise PipetraceError(str(answer["error"]))
            return list(answer["blocks"])

    def lose(self) -> None:
        """Hang up: nothing more can be asked."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Hang up, and wait for no call."""
        self.lose()
        if self._closed:
            return
        self._closed = True
        with suppress(OSError, EOFError, AuthenticationError):
            # Nothing else wakes a thread that waits for a call.
            Client(self._listener.address, authkey=self._key).close()
        self._thread.join(1)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError):
                continue
            if self._closed or self.connected:
                connection.close()
                continue
            with suppress(OSError, EOFError, msgspec.MsgspecError):
                self._hello = msgspec.json.decode(connection.recv_bytes(_LARGEST))
                self._connection = connection


def attend(call: str, actions: Mapping[str, Action], status: str, code: int) -> None:
    """Call the server, and do what its readers ask until it hangs up or Ctrl-C is pressed.

    Args:
        call: What `serving.called` returned.
        actions: What can be done, by name.
        status: How the script ended.
        code: Its exit code.
    """
    try:
        told = json.loads(call)
        connection = Client(told["address"], authkey=bytes.fromhex(told["key"]))
    except (OSError, EOFError, AuthenticationError, ValueError, KeyError):
        return
    hello = {"actions": list(actions), "status": status, "code": code}
    with connection, suppress(EOFError, OSError, KeyboardInterrupt):
        connection.send_bytes(json.dumps(hello).encode())
        while True:
            asked = msgspec.json.decode(connection.recv_bytes(_LARGEST))
            answer = _do(actions, asked["name"], asked["arguments"])
            connection.send_bytes(data.encoded({"number": asked["number"], **answer}).encode())


def _do(actions: Mapping[str, Action], name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"blocks": list(actions[name](arguments))}
    except PipetraceError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
