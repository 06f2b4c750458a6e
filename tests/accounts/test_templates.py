"""What every template must keep to, read from the files themselves."""

import re
from pathlib import Path

import pytest

TEMPLATES = sorted(file for file in Path("templates").rglob("*.html") if "email" not in file.parts)
FORM = re.compile(r"<form\b(?P<head>[^>]*)>(?P<body>.*?)</form>", re.DOTALL)


@pytest.mark.parametrize("file", TEMPLATES, ids=str)
def test_template_has_nothing_that_the_content_policy_blocks(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"\sstyle\s*=", text), "style attributes are blocked; use a class"
    assert not re.search(r"<style\b", text), "inline styles are blocked; use static/css"
    assert not re.search(r"\son[a-z]+\s*=", text), "inline handlers are blocked; use static/js/app.js"
    assert not re.search(r"hx-on|js:|javascript:", text), "htmx would need eval for this"
    assert all("src=" in tag for tag in re.findall(r"<script\b[^>]*>", text)), "inline scripts are blocked"


@pytest.mark.parametrize("file", TEMPLATES, ids=str)
def test_template_never_switches_escaping_off(file: Path) -> None:
    assert not re.search(r"\|\s*safe\b|autoescape off|safeseq", file.read_text())


@pytest.mark.parametrize("file", TEMPLATES, ids=str)
def test_form_that_posts_carries_the_token(file: Path) -> None:
    for form in FORM.finditer(file.read_text()):
        if re.search(r'method="post"', form["head"], re.IGNORECASE) or "hx-post" in form["head"]:
            assert "csrf_token" in form["body"], form["head"]


@pytest.mark.parametrize("file", TEMPLATES, ids=str)
def test_form_says_its_method(file: Path) -> None:
    for form in FORM.finditer(file.read_text()):
        assert re.search(r'method="(post|get)"', form["head"]), form["head"]
