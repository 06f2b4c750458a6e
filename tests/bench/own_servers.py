"""PostgreSQL and Valkey of a benchmark's own, in a folder that goes with it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_servers(*, durable: bool) -> Iterator[Path]:
    """Start both, point Django at them, and make the tables; yields their folder."""
    home = Path(tempfile.mkdtemp(prefix="awx-shredder-bench-"))
    home.chmod(0o711)
    os.environ["SHREDDER_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "shredder.settings"
    import django
    from django.core.management import call_command

    from shredder.embedded.servers import RunningServers

    servers = RunningServers(home, durable=durable)
    try:
        django.setup()
        call_command("migrate", verbosity=0)
        yield home
    finally:
        servers.stop()
        shutil.rmtree(home, ignore_errors=True)
