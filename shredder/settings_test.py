"""Settings of the tests: a data folder of their own, thrown away at the end."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if not os.environ.get("SHREDDER_HOME") and not os.environ.get("DATABASE_URL"):
    # The number lets a later run recognise what a killed one left behind.
    _home = tempfile.mkdtemp(prefix=f"awx-shredder-test-{os.getpid()}-")
    Path(_home).chmod(0o711)  # PostgreSQL's user must get through when root runs the tests.
    os.environ["SHREDDER_HOME"] = _home
    os.environ["SHREDDER_TEST_HOME"] = _home
    _maker = os.getpid()
    # A forked child that ends must not take the folder away from the rest.
    atexit.register(lambda: shutil.rmtree(_home, ignore_errors=True) if os.getpid() == _maker else None)

from shredder.settings import *  # noqa: F403
from shredder.settings import CACHES, REDIS_URL, STORAGES

# One database of Valkey for each parallel worker, as Django does for PostgreSQL.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if _WORKER.startswith("gw"):
    REDIS_URL = f"{REDIS_URL.rsplit('/', 1)[0]}/{int(_WORKER[2:]) + 1}"
    CACHES["default"]["LOCATION"] = REDIS_URL

# Tests render pages without collecting files first, and sign many people in.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_AUTOREFRESH = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
