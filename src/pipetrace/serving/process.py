"""A server runs in a thread of its own; what waits for it may be interrupted."""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipetrace.errors import PipetraceError, RunFileError

if TYPE_CHECKING:
    from pipetrace.serving.app import Desk

_ADDRESS = "127.0.0.1"
_STOP = 5.0


class Served:
    """A server that runs.

    Attributes:
        url: The address to open, with its token.
    """

    def __init__(self, port: int, token: str, desk: Desk, path: str = "/") -> None:
        self.url = f"http://{_ADDRESS}:{port}{path}?token={token}"
        self._desk = desk

    @property
    def readers(self) -> int:
        """How many follow something now."""
        return self._desk.readers


@contextmanager
def served(make: Callable[[], Desk], port: int = 0, path: str = "/") -> Iterator[Served]:
    """Serve on this machine, and on no network, while a block runs.

    Args:
        make: Makes what answers.
        port: Where; 0 for a free one.
        path: What to open first.

    Raises:
        PipetraceError: a package is missing, or the port is taken.
    """
    require()
    import uvicorn

    from pipetrace.serving.door import new_token

    desk, token = make(), new_token()
    listening = _listening(port)
    config = uvicorn.Config(
        desk.app(token), log_config=None, log_level="critical", access_log=False, ws="none",
        lifespan="off", loop="asyncio", http="h11", server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)

    async def serve() -> None:
        serving = asyncio.create_task(server.serve([listening]))
        while not server.should_exit and not serving.done():
            await asyncio.sleep(0.05)
        # A reader that follows would never leave by itself.
        desk.close()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield Served(listening.getsockname()[1], token, desk, path)
    finally:
        server.should_exit = True
        thread.join(_STOP)
        listening.close()


def desk_of(place: Path) -> tuple[Callable[[], Desk], str]:
    """Return what makes a desk for a run file or a folder of runs, and what to open first.

    Raises:
        RunFileError: there is no such folder or file.
    """
    from pipetrace.serving.shelf import Shelf

    shelf = Shelf(place)

    def make() -> Desk:
        from pipetrace.serving.app import Desk

        return Desk(shelf)

    if shelf.one and not shelf.files(shelf.one):
        raise RunFileError(f"{place}: this is not a run file. Its name ends in .pipetrace")
    return make, f"/run/{shelf.one}" if shelf.one else "/"


def require(port: int = 0) -> None:
    """Require what serves a page: its packages, and a port that can be listened at.

    Raises:
        PipetraceError: one is missing, or the port is taken.
    """
    try:
        for package in ("starlette", "uvicorn"):
            importlib.import_module(package)
    except ImportError as error:
        raise PipetraceError(
            f"A live page needs the package {error.name}, which is not installed: "
            'pip install "pipetrace[live]"'
        ) from None
    _listening(port).close()


def _listening(port: int) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((_ADDRESS, port))
        opened.listen(128)
    except (OSError, OverflowError) as error:
        opened.close()
        reason = getattr(error, "strerror", None) or error
        raise PipetraceError(
            f"Port {port} cannot be used ({reason}). Name another one, or leave out --port: then "
            "a free one is found."
        ) from None
    return opened
