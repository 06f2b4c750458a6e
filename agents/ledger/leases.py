"""Processes say that they are alive, so that the reaper knows whose holds nobody will settle."""

import os
import socket
from pathlib import Path

LEASE_SECONDS = 20.0
RENEW_SECONDS = 5.0

RENEW = """
INSERT INTO owner_lease (owner, renewed_at, expires_at, process, degraded_since)
VALUES (%(owner)s, clock_timestamp(), clock_timestamp() + make_interval(secs => %(seconds)s), %(process)s,
    %(degraded_since)s)
ON CONFLICT (owner) DO UPDATE SET renewed_at = excluded.renewed_at, expires_at = excluded.expires_at,
    degraded_since = excluded.degraded_since
"""
GIVE_BACK = "UPDATE owner_lease SET expires_at = '-infinity' WHERE owner = %(owner)s"
OTHERS_HERE = """
SELECT owner, process FROM owner_lease
WHERE owner <> %(owner)s AND expires_at <> '-infinity' AND process LIKE %(machine)s || ':%%'
"""
BURY_OWNERS = "UPDATE owner_lease SET expires_at = '-infinity' WHERE owner = ANY(%(owners)s)"
FORGET = """
DELETE FROM owner_lease l WHERE l.expires_at < clock_timestamp() - interval '1 hour'
    AND NOT EXISTS (SELECT 1 FROM reservation r WHERE r.owner = l.owner)
"""


def machine() -> str:
    """Return what processes that can see each other's ids share: host, boot and process namespace."""
    return f"{socket.gethostname()[:40]}:{_boot()}:{_namespace()}"


def process() -> str:
    """Return this process's name: its machine, id and time of birth, since ids come again."""
    return f"{machine()}:{os.getpid()}:{_born(os.getpid())}"


def is_dead(name: str) -> bool:
    """Tell whether a process of this machine is gone for certain; in doubt it lives."""
    mine, pid, born = name.rsplit(":", 2)
    if mine != machine() or not _born(os.getpid()):
        return False
    return _born(int(pid)) != born


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return ""


def _born(pid: int) -> str:
    """Return a process's start in clock ticks since boot; empty when it is gone, a zombie or there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
