"""Text and pills can be read on both themes: 4.5 to 1, computed from the tokens themselves."""

import math
import re
from pathlib import Path

import pytest

NAMES = ("tokens", "base", "layout", "components", "agents")
TOKENS, BASE, LAYOUT, COMPONENTS, AGENTS = (Path(f"static/css/{name}.css").read_text() for name in NAMES)
PILL_SHARE = 0.11  # a pill stands on this much of its own colour
RATIO_MIN = 4.5

type Rgb = tuple[float, float, float]


def oklch_to_linear(lightness: float, chroma: float, hue_degrees: float) -> Rgb:
    """Return linear sRGB, clipped to the gamut as browsers roughly do."""
    a = chroma * math.cos(math.radians(hue_degrees))
    b = chroma * math.sin(math.radians(hue_degrees))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    return (min(max(red, 0), 1), min(max(green, 0), 1), min(max(blue, 0), 1))


def parse(colour: str) -> Rgb:
    if colour == "#fff":
        return (1.0, 1.0, 1.0)
    found = re.fullmatch(r"oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\)", colour)
    assert found, colour
    return oklch_to_linear(float(found[1]) / 100, float(found[2]), float(found[3]))


def token(name: str, theme: str) -> Rgb:
    found = re.search(rf"--{name}: (?:light-dark\((.+?\)|#\w+), (.+)\)|([^;]+));", TOKENS)
    assert found, name
    return parse(found[3] or found[1 if theme == "light" else 2])


def encode(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def decode(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def over(top: Rgb, share: float, ground: Rgb) -> Rgb:
    """Mix as the browser composes a translucent colour: on encoded values."""
    red, green, blue = (decode(encode(t) * share + encode(g) * (1 - share)) for t, g in zip(top, ground, strict=True))
    return red, green, blue


def luminance(colour: Rgb) -> float:
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]


def contrast(one: Rgb, other: Rgb) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["bg", "panel", "sunken"])
@pytest.mark.parametrize("text", ["text", "muted", "accent", "good", "info", "warn", "bad"])
def test_text_is_readable_on_every_ground(text: str, ground: str, theme: str) -> None:
    assert contrast(token(text, theme), token(ground, theme)) >= RATIO_MIN


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tone", ["muted", "accent", "good", "info", "warn", "bad"])
def test_pill_is_readable_on_its_own_tint(tone: str, theme: str) -> None:
    colour = token(tone, theme)
    assert contrast(colour, over(colour, PILL_SHARE, token("panel", theme))) >= RATIO_MIN


def test_pill_brings_its_ground_wherever_it_stands() -> None:
    # A translucent tint would be darker on the page than on the panel that the ratio above is computed for.
    assert "background: color-mix(in srgb, var(--tone) 11%, var(--panel))" in COMPONENTS


def test_link_in_a_sentence_is_told_by_more_than_its_colour() -> None:
    assert contrast(token("accent", "light"), token("muted", "light")) < 3
    assert ":is(p, dd, .notice) a:not([class]) { text-decoration: underline;" in BASE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_focus_is_seen_where_the_usual_ring_would_be_cut_off_or_is_none(theme: str) -> None:
    assert ".table-scroll:focus-visible { outline-offset: -2px;" in COMPONENTS
    assert ":is(.nav, .side) a:focus-visible { outline-offset: -2px; }" in LAYOUT
    assert ".chart a:focus-visible .column-ground { stroke: var(--accent); stroke-width: 2; }" in AGENTS
    assert contrast(token("accent", theme), token("panel", theme)) >= 3


def test_no_text_is_faded() -> None:
    faded = re.findall(r"([^{}]+)\{[^{}]*\bopacity: \.\d", COMPONENTS)
    assert [rule.strip() for rule in faded] == [".button[disabled]", "50%"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), [("on-accent", "accent"), ("on-danger", "danger")])
def test_button_is_readable(text: str, ground: str, theme: str) -> None:
    assert contrast(token(text, theme), token(ground, theme)) >= RATIO_MIN
