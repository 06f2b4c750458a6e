"""One web process, listening on a socket that it got from the supervisor.

python -m shredder.embedded.web --fd 5 --home /srv/shredder
"""

import argparse
import math
import os
import re
import signal
import socket
import sys

import uvicorn

from shredder.embedded.ready import say_ready

# As long as a stream may still be drained after the order to stop, at most: the supervisor waits a little longer.
GRACE_SECONDS = 120
KEEP_ALIVE_SECONDS = 75


class Server(uvicorn.Server):
    """A uvicorn server that reports when its lifespan has started and it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            say_ready()


def grace_seconds(time_outs: str) -> int:
    """How long clients may read on after the order to stop: `stop` of SHREDDER_PROXY_SECONDS, as for their calls."""
    named = re.search(r"\bstop=(\d+(?:\.\d+)?)", time_outs)
    return min(GRACE_SECONDS, math.ceil(float(named[1]))) if named else GRACE_SECONDS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--home", help="only so that the command line names the installation")
    # Python asks the system for the family; uvicorn's own --fd would take the socket for a Unix one.
    listener = socket.socket(fileno=parser.parse_args().fd)
    config = uvicorn.Config(
        "shredder.asgi:application",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace_seconds(os.environ.get("SHREDDER_PROXY_SECONDS", "")),
    )
    server = Server(config)
    # uvicorn raises the signal again when everything has ended; by then the stop was orderly.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(3)


if __name__ == "__main__":
    main()
