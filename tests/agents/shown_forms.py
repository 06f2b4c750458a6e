"""A form as a browser would send it back: every field of the page with the value that it shows."""

from html.parser import HTMLParser


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self._form: dict[str, str] = {}
        self._select = ""
        self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = self.forms.setdefault(given["action"].partition("#")[0], {})
        elif tag == "input" and "name" in given:
            self._form[given["name"]] = given.get("value", "")
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and ("selected" in given or self._select not in self._form):
            self._form[self._select] = given.get("value", "")
        elif tag == "textarea":
            self._area = given["name"]
            self._form[self._area] = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self._form[self._area] += data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""


def shown_form(page: str, action: str) -> dict[str, str]:
    """The fields of the form that a page sends to an address, as they stand there."""
    parser = _Forms()
    parser.feed(page)
    return {name: value for name, value in parser.forms[action].items() if name != "csrfmiddlewaretoken"}
