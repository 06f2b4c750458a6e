import io
import json
import logging
import logging.config
import sys

import pytest
from django.conf import settings

from shredder.logs import JSONFormatter, WithoutTraceback, redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key awx_live_ab12cd34_secret!", "key awx_live_…"),
        ('{"key": "awx_test_ab12", "other": 1}', '{"key": "awx_test_…", "other": 1}'),
        ("sk-proj-abc_DEF-123 and more", "sk-… and more"),
        ("Authorization: Bearer abc.def.ghi", "Authorization: Bearer …"),
        ("authorization: bearer abc", "authorization: bearer …"),
        ("x-goog-api-key AIzaSyD-1234", "x-goog-api-key AIza…"),
        ("nothing secret: task-list, risk-free", "nothing secret: task-list, risk-free"),
    ],
)
def test_keys_are_taken_out(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_a_line_is_json_and_no_field_keeps_a_key() -> None:
    record = logging.LogRecord("proxy", logging.INFO, "file", 1, "call with %s", ("awx_live_secret",), None)
    record.header = {"authorization": "Bearer sk-ant-secret"}
    try:
        raise ValueError("awx_live_hidden")
    except ValueError:
        record.exc_info = sys.exc_info()
    line = JSONFormatter().format(record)
    facts = json.loads(line)
    assert facts["event"] == "call with awx_live_…"
    assert facts["level"] == "info"
    assert "secret" not in line
    assert "hidden" not in line


def test_a_strange_host_name_is_one_line_without_a_traceback() -> None:
    record = logging.LogRecord("django.security.DisallowedHost", logging.ERROR, "file", 1, "evil.example", (), None)
    try:
        raise ValueError
    except ValueError:
        record.exc_info = sys.exc_info()
    assert WithoutTraceback().filter(record)
    assert "exception" not in json.loads(JSONFormatter().format(record))


def test_the_server_logs_through_our_format_whatever_its_command_had_set() -> None:
    command = logging.getLogger("uvicorn")
    own = logging.StreamHandler()
    command.addHandler(own)
    try:
        logging.config.dictConfig(settings.LOGGING)
        assert command.handlers == []
        assert command.propagate
    finally:
        command.removeHandler(own)


def test_the_servers_own_log_of_requests_never_shows_a_key_of_the_query() -> None:
    """F1: started without --no-access-log it would write every address whole, and Google's clients put keys there."""
    access = logging.getLogger("uvicorn.access")
    before = access.handlers[:], access.level, access.propagate
    written = io.StringIO()
    try:
        access.handlers, access.propagate = [logging.StreamHandler(written)], False
        access.setLevel(logging.INFO)
        logging.config.dictConfig(settings.LOGGING)
        access.info('%s - "POST %s HTTP/1.1" %d', "127.0.0.1", "/proxy/gemini/v1beta/models?key=awx_live_secret", 200)
        assert written.getvalue() == ""
        assert not access.hasHandlers()
    finally:
        access.handlers, access.propagate = before[0], before[2]
        access.setLevel(before[1])
