"""An organisation's own provider: what its preset and flags (accounts.presets) say, as routing and surfaces need it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from accounts.presets import CAP_FIELDS, Preset, preset_of
from proxy.bounds import Image
from proxy.errors import Dialect
from proxy.providers.foreign_vision import deployed_image_tokens, foreign_image_tokens
from proxy.providers.targets import Provider
from proxy.providers.traits import Traits

DEPLOYMENT_PATH = "/openai/deployments/{model}"


def custom_provider(name: str, preset: str, options: Mapping[str, Any], *, upstream: str) -> Provider:
    """The provider of a credential.

    options: as accounts.credentials keeps them; one that is left out is as the preset has it. upstream: the
    credential's id (targets.Listing).
    """
    known = preset_of(preset)
    api_version = str(options.get("api_version") or "")
    deployments = dict(options.get("deployments") or {}) if known.has_deployments else None
    return Provider(
        name,
        {Dialect.OPENAI: DEPLOYMENT_PATH if api_version else ""},
        _traits(known, options, deployments),
        {Dialect.OPENAI: known.serves_by_deployment if api_version else known.serves},
        query=urlencode({"api-version": api_version}) if api_version else "",
        prices=known.prices,
        deployments=deployments,
        upstream=upstream,
    )


def _images_of(deployments: Mapping[str, str]) -> Callable[[str, tuple[Image, ...]], int]:
    return partial(deployed_image_tokens, deployments=deployments)


def _traits(preset: Preset, options: Mapping[str, Any], deployments: Mapping[str, str] | None) -> Traits:
    cap_field = options.get("cap_field")
    return Traits(
        cap_field=cap_field if cap_field in CAP_FIELDS else preset.cap_field,
        image_tokens=foreign_image_tokens if deployments is None else _images_of(deployments),
        template_tokens=preset.template_tokens,
        bills_errors=preset.bills_errors,
        takes_stream_options=bool(options.get("takes_stream_options", preset.takes_stream_options)),
        usage_of=preset.slug,
        limits_price=preset.limits_price,
        key_header=preset.key_header,
        refused_models=preset.refused_models,
        refused_fields=preset.refused_fields,
        moderates=preset.moderates,
    )
