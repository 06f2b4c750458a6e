"""What people type about a provider that they connect themselves."""

import re
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from accounts import base_urls
from accounts.credentials import PROVIDERS, Upstream, same_origin
from accounts.forms import ProviderKeyForm
from accounts.models import Organization, ProviderCredential
from accounts.presets import CAP_FIELDS, Preset

# Names that mean something else where a model's first segment or a page's address is read: Google's clients write
# models/… and may bring a key of their own, which goes where the first segment says.
RESERVED = frozenset({*PROVIDERS, "gemini", "models", "sandbox", "awx", "new"})
DEPLOYMENTS_MAX = 100
_DEPLOYMENT = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")  # not only dots: it is a segment of a path
_API_VERSION = re.compile(r"20\d\d-[01]\d-[0-3]\d(-preview)?")
_PLAIN = {"autocomplete": "off", "spellcheck": "false"}
_CAP_HELP = "The field in which it takes the most that a chat may answer."
_STREAM_HELP = (
    "Leave it off where it answers a stream with an error about stream_options; it must then send usage unasked."
)
_DEPLOYMENT_HELP = "One a line: the deployment's name, and the model behind it by its name in the price list."


class CustomProviderForm(ProviderKeyForm):
    """Name, address, key and flags of a provider of one's own; after is_valid, `upstream` is what to store."""

    name = forms.CharField(
        label="Name", max_length=40, help_text="Agents ask for name/model where another provider has the model too.",
        validators=[RegexValidator(r"^[a-z0-9-]+\Z", "Use a–z, 0–9 and dashes, at most 40 characters.")],
        widget=forms.TextInput(attrs=_PLAIN),
    )  # fmt: skip
    base_url = forms.CharField(
        label="Base URL", max_length=base_urls.LENGTH_MAX, widget=forms.TextInput(attrs={**_PLAIN, "inputmode": "url"})
    )
    api_version = forms.CharField(
        label="API version", max_length=20, required=False, widget=forms.TextInput(attrs=_PLAIN),
        help_text="Only for the older addresses with /openai/deployments; then the base URL ends after the host.",
    )  # fmt: skip
    deployments = forms.CharField(
        label="Deployments", required=False, max_length=20_000, help_text=_DEPLOYMENT_HELP,
        widget=forms.Textarea(attrs={**_PLAIN, "rows": 4, "placeholder": "prod-4o = gpt-4o"}),
    )  # fmt: skip
    cap_field = forms.ChoiceField(
        label="Output bound", choices=[(name, name) for name in CAP_FIELDS], help_text=_CAP_HELP
    )
    takes_stream_options = forms.BooleanField(label="Takes stream_options", required=False, help_text=_STREAM_HELP)

    def __init__(
        self, *args: Any, preset: Preset, organization: Organization, existing: ProviderCredential | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        self.preset, self.organization, self.existing = preset, organization, existing
        self.upstream: Upstream | None = None
        self.fields["api_key"].required = preset.needs_key and existing is None
        if existing is not None:
            self.fields["api_key"].help_text = "Leave it empty to keep the key that is stored."
        self.fields["base_url"].widget.attrs["placeholder"] = preset.shown_url
        unused = [] if existing is None else ["name"]
        unused += [] if preset.has_deployments else ["api_version", "deployments"]
        for name in unused:
            del self.fields[name]

    @property
    def flags(self) -> list[forms.BoundField]:
        """The fields that most people leave as they are."""
        return [self["cap_field"], self["takes_stream_options"]]

    @property
    def usual(self) -> list[forms.BoundField]:
        """The other fields, in their order."""
        order = ("name", "base_url", "api_key", "api_version", "deployments")
        return [self[name] for name in order if name in self.fields]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name in RESERVED:
            raise ValidationError(f"{name} is taken; give it another, such as my-{name}.", code="reserved")
        if self.organization.credentials.filter(provider=name).exists():
            raise ValidationError(f"A provider called {name} is connected already.", code="taken")
        return name

    def clean_base_url(self) -> str:
        allow_private = settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS
        try:
            base_url = base_urls.normalized(self.cleaned_data["base_url"], allow_private=allow_private)
            base_urls.check_elsewhere(base_url, site_url=settings.SITE_URL)
            base_urls.check_resolves(base_url, allow_private=allow_private)
        except base_urls.BadBaseUrl as bad:
            raise ValidationError(str(bad), code="base_url") from bad
        return base_url

    def clean_api_version(self) -> str:
        version: str = self.cleaned_data["api_version"]
        if version and not _API_VERSION.fullmatch(version):
            raise ValidationError("Write the version as 2024-10-21 or 2025-03-01-preview, or leave it empty.")
        return version

    def clean_deployments(self) -> dict[str, str]:
        """One `name = model` a line; a name alone is its own model."""
        found: dict[str, str] = {}
        for line in filter(None, (line.strip() for line in self.cleaned_data["deployments"].splitlines())):
            name, equals, model = (part.strip() for part in line.partition("="))
            if not _DEPLOYMENT.fullmatch(name) or (equals and not model) or len(model) > 128 or not model.isprintable():
                raise ValidationError(f"Write each line as name = model; this one is not: {line[:80]}", code="line")
            if name in found:
                raise ValidationError(f"{name} is there twice.", code="twice")
            found[name] = model or name
        if len(found) > DEPLOYMENTS_MAX:
            raise ValidationError(f"At most {DEPLOYMENTS_MAX} deployments.", code="many")
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        base_url = cleaned.get("base_url", "")
        if cleaned.get("api_version") and base_url.count("/") > 2:
            self.add_error("base_url", f"With an API version it ends after the host: {_origin(base_url)}")
        self._check_key(cleaned, base_url)
        if not self.errors:
            self.upstream = Upstream(base_url, self.preset.slug, self._options(cleaned))
        return cleaned

    def _check_key(self, cleaned: dict[str, Any], base_url: str) -> None:
        """A stored key is for one origin: whoever answers at another must not get it."""
        is_moved = self.existing is not None and base_url and not same_origin(base_url, self.existing.base_url)
        if is_moved and not cleaned.get("api_key") and self.preset.needs_key and not self.has_error("api_key"):
            self.add_error("api_key", "The stored key is for the old address only. Write the key for this one.")

    def _options(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """What differs from the preset, so that a preset that is corrected later corrects its providers."""
        options = {
            name: cleaned[name]
            for name in ("cap_field", "takes_stream_options")
            if cleaned[name] != getattr(self.preset, name)
        }
        return options | {name: cleaned[name] for name in ("api_version", "deployments") if cleaned.get(name)}


def initial_of(preset: Preset, existing: ProviderCredential | None, name: str = "") -> dict[str, Any]:
    """What the form begins with: the preset's, or what is stored."""
    options = {} if existing is None else existing.options
    lines = [f"{name} = {model}" for name, model in options.get("deployments", {}).items()]
    return {
        "name": name,
        "base_url": preset.base_url if existing is None else existing.base_url,
        "api_version": options.get("api_version", ""),
        "deployments": "\n".join(lines),
        "cap_field": options.get("cap_field", preset.cap_field),
        "takes_stream_options": options.get("takes_stream_options", preset.takes_stream_options),
    }


def _origin(base_url: str) -> str:
    return "/".join(base_url.split("/")[:3])
