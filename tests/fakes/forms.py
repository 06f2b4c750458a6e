"""How the provider fake reads a form: by the standard library's own parser, which shares nothing with ours."""

from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import orjson


def read(raw: bytes, content_type: str) -> dict[str, Any]:
    """The body of a request, JSON or a form; `files` holds name, file name and bytes of each. Raises ValueError."""
    if not content_type.startswith("multipart/form-data"):
        found = orjson.loads(raw)
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found
    whole = BytesParser(policy=HTTP).parsebytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + raw)
    if whole.defects or not whole.is_multipart():
        raise ValueError(str(whole.defects))
    body: dict[str, Any] = {"files": []}
    for part in whole.get_payload():
        assert isinstance(part, Message), "a form's parts are parts"
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        assert isinstance(content, bytes), "no part of a form has parts"
        if part.get_filename() is not None:
            body["files"].append((name, part.get_filename(), content))
        else:
            body[str(name)] = content.decode()
    return body
