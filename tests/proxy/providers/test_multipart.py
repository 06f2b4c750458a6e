"""Forms are read strictly and written again: what two readers could understand differently is refused."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Malformed
from proxy.providers.multipart import Form, Part, form_of, is_form, read_form
from tests.fakes import forms

HEADERS = {"content-type": "multipart/form-data; boundary=xyz"}


def part(name='name="model"', content=b"whisper-1", *more):
    head = b"\r\n".join([f"Content-Disposition: form-data; {name}".encode(), *more])
    return b"--xyz\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


END = b"--xyz--\r\n"


def read(*parts, end=END, headers=HEADERS):
    return read_form(b"".join(parts) + end, headers)


def test_what_httpx_writes_is_read():
    files = [("image[]", ("ä b.png", b"\x89PNG\r\n--xy", "image/png")), ("image[]", ("c.png", b"", "image/png"))]
    request = httpx.Request("POST", "https://h", data={"model": "m", "n": "2"}, files=files)
    form = read_form(request.read(), {"content-type": request.headers["content-type"]})
    assert form.fields() == {"model": "m", "n": "2"}
    assert [(one.name, one.filename, one.content) for one in form.files("image[]")] == [
        ("image[]", "ä b.png", b"\x89PNG\r\n--xy"),
        ("image[]", "c.png", b""),
    ]


names = st.sampled_from(["model", "prompt", "image[]", "timestamp_granularities[]"])
parts = st.builds(
    Part,
    name=names,
    content=st.binary(max_size=60) | st.sampled_from([b"\r\n--awx-", b"\r\n", b"--", b""]),
    filename=st.sampled_from(["a.png", "ü.wav", ""]),
    content_type=st.sampled_from(["", "image/png", "audio/wav"]),
)


@given(st.lists(parts, min_size=1, max_size=5))
def test_what_is_written_reads_as_the_same_here_and_elsewhere(some):
    body, content_type = form_of(some).written({})
    assert read_form(body, {"content-type": content_type}).parts == some
    files = forms.read(body, content_type)["files"]
    assert [(one.name, one.content) for one in some if one.filename] == [(n, c) for n, name, c in files if name]


@pytest.mark.parametrize(
    ("charset", "text", "passes"),
    [
        (b"UTF-8", "ü", True),
        (b'"utf-8"', "ü", True),
        (b"US-ASCII", "u", True),
        (b"ISO-8859-1", "u", True),
        (b"ISO-8859-1", "ü", False),
        (b"utf-16", "u", False),
        (b"utf-7", "+AGE-", False),
        (b"utf-8; charset=utf-7", "+AGE-", False),
    ],
)
def test_a_text_that_its_charset_makes_another_one_is_refused(charset, text, passes):
    field = part('name="prompt"', text.encode(), b"Content-Type: text/plain; charset=" + charset)
    if passes:
        assert read(field).fields() == {"prompt": text}
    else:
        with pytest.raises(Malformed, match="charset"):
            read(field)


def test_a_field_is_changed_and_nothing_else():
    form = read(part(), part('name="file"; filename="a.wav"', b"RIFF", b"Content-Type: audio/wav"))
    body, content_type = form.written({"model": "other", "absent": "x", "file": "x"})
    again = read_form(body, {"content-type": content_type})
    assert [one.content for one in again.parts] == [b"other", b"RIFF"]
    assert again.parts[1] == form.parts[1]


def test_a_form_lets_go_of_its_parts_once_they_are_sent():
    form = form_of([Part("file", b"x" * 100, filename="a.wav")])
    form.clear()
    assert form.parts == []


def test_equal_forms_are_told_by_their_digest_and_others_are_not():
    assert read(part()).digest == read(part(), headers=HEADERS).digest
    assert read(part()).digest != read(part(content=b"whisper-2")).digest
    assert isinstance(read(part()), Form)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=xyz",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=xyz; boundary=abc",
        "multipart/form-data; boundary=xyz; charset=utf-16",
        'multipart/form-data; boundary="x\\yz"',
        "multipart/form-data; boundary=" + "x" * 71,
        'multipart/form-data; boundary="x{z"',
    ],
)
def test_a_content_type_that_is_not_a_plain_form_is_refused(content_type):
    with pytest.raises(Malformed):
        read(part(), headers={"content-type": content_type})


@pytest.mark.parametrize("content_type", ['multipart/form-data; boundary="xyz"', "Multipart/Form-Data;boundary=xyz"])
def test_other_ways_of_writing_the_same_type_are_understood(content_type):
    assert is_form({"content-type": content_type})
    assert read(part(), headers={"content-type": content_type}).fields() == {"model": "whisper-1"}


FORMS = {
    "nothing": (b"",),
    "a preamble": (b"hello\r\n", part(), END),
    "something behind the end": (part(), END, b"--xyz\r\n"),
    "an epilogue": (part(), END, b"more"),
    "no end": (part(),),
    "half an end": (part(), b"--xyz-"),
    "bare line feeds": (part().replace(b"\r\n", b"\n"), END),
    "a boundary that goes on": (part(content=b"a\r\n--xyzzy\r\nb"), END),
    "no head": (b"--xyz\r\n\r\nx\r\n", END),
    "no name": (part("filename=a"), END),
    "two names": (part('name="a"; name="b"'), END),
    "an unquoted name": (part("name=model"), END),
    "a name with a blank": (part('name="model "'), END),
    "a name with a quote": (part('name="a\\"b"'), END),
    "a file name with a backslash": (part('name="file"; filename="a\\b"'), END),
    "a folded head": (part('name="model"', b"x", b"Content-Type: text/plain;", b" charset=utf-8"), END),
    "two dispositions": (part('name="model"', b"x", b'content-disposition: form-data; name="n"'), END),
    "an encoding": (part('name="model"', b"x", b"Content-Transfer-Encoding: base64"), END),
    "an unknown head": (part('name="model"', b"x", b"X-Name: n"), END),
    "a long head": (part('name="model"', b"x", b"Content-Type: " + b"a" * 3_000), END),
    "too many parts": (part() * 65, END),
    "a long field": (part(content=b"x" * (256 * 1024 + 1)), END),
    "a name that is not UTF-8": (part().replace(b"model", b"\xff"), END),
}


@pytest.mark.parametrize("what", FORMS)
def test_what_two_readers_could_understand_differently_is_refused(what):
    with pytest.raises(Malformed):
        read(*FORMS[what], end=b"")


def test_a_field_twice_is_refused_but_for_lists():
    with pytest.raises(Malformed, match="model"):
        read(part(), part()).fields()
    twice = part('name="timestamp_granularities[]"', b"word")
    assert read(twice, twice).fields() == {"timestamp_granularities[]": "word"}
    with pytest.raises(Malformed, match="UTF-8"):
        read(part(content=b"\xff")).fields()


def test_a_file_under_another_name_is_refused():
    form = read(part('name="extra"; filename="a"', b"x"))
    with pytest.raises(Malformed, match="extra"):
        form.files("file")


def test_an_encoded_file_name_is_understood():
    form = read(part("name=\"file\"; filename*=utf-8''%C3%A4.wav", b"x"))
    assert form.parts[0].filename == "ä.wav"
