"""Charts as plain geometry: templates only write the shapes down, so a chart works without scripts and prints."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.money import PICO_PER_USD, usd_display

SERIES_MAX = 5  # colours; what is left over is drawn as one grey series
OTHER_SERIES = 0
GRID_LINES = 4
_GAP_SHARE = 0.28
_LABEL_SPACE = 20
_TOP_SPACE = 8
_EMPTY_SCALE_PICO = PICO_PER_USD


@dataclass(frozen=True, slots=True)
class Size:
    """A view box in its own units; axis_space is what the amounts on the left need."""

    name: str
    width: int
    height: int
    axis_space: int
    labels_max: int


WIDE = Size(name="wide", width=960, height=240, axis_space=64, labels_max=10)
NARROW = Size(name="narrow", width=360, height=220, axis_space=56, labels_max=4)
SIZES = (WIDE, NARROW)


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a chart; number 0 is everything beyond the named ones."""

    number: int
    name: str
    total_pico: int


@dataclass(frozen=True, slots=True)
class Point:
    """One column to draw: its label under the axis, its spoken name, and pico-dollars by series number."""

    label: str
    name: str
    amounts: dict[int, int]
    href: str = ""

    @property
    def total_pico(self) -> int:
        return sum(self.amounts.values())


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of one series."""

    series: int
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Column:
    """One day or hour: its stack of blocks and the text a reader sees on pointing at it."""

    x: str
    width: str
    middle: str
    slot_x: str
    slot_width: str
    label: str
    title: str
    href: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class GridLine:
    y: str
    text_y: str
    label: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart drawn for one size."""

    size: Size
    columns: tuple[Column, ...]
    grid: tuple[GridLine, ...]
    plot_top: int
    plot_height: int
    label_y: int

    @property
    def axis_text_x(self) -> int:
        return self.size.axis_space - 8


@dataclass(frozen=True, slots=True)
class Chart:
    """What a page shows: the same columns for wide and narrow screens, with words for those who cannot see them."""

    title: str
    summary: str
    series: tuple[Series, ...]
    drawings: tuple[Drawing, ...]
    total_pico: int


def stacked(title: str, series: Sequence[Series], points: Sequence[Point]) -> Chart:
    """Draw stacked columns, one per point, in the order given."""
    total_pico = sum(point.total_pico for point in points)
    scale_pico = nice_ceiling(max((point.total_pico for point in points), default=0))
    return Chart(
        title=title,
        summary=_summary(points, total_pico),
        series=tuple(series),
        drawings=tuple(_draw(size, points, series, scale_pico) for size in SIZES),
        total_pico=total_pico,
    )


def rank_series(totals: Sequence[tuple[str, str, int]]) -> tuple[list[Series], dict[str, int]]:
    """Give the largest spenders a colour each and everybody else one together.

    totals: (key, name, pico-dollars) of each; returns the series and the number that each key has.
    """
    ranked = sorted((entry for entry in totals if entry[2] > 0), key=lambda entry: (-entry[2], entry[1]))
    named, rest = ranked[:SERIES_MAX], ranked[SERIES_MAX:]
    numbers = {key: number for number, (key, _, _) in enumerate(named, start=1)}
    series = [Series(numbers[key], name, total) for key, name, total in named]
    if rest:
        series.append(Series(OTHER_SERIES, f"{len(rest)} others", sum(total for _, _, total in rest)))
    return series, numbers


def nice_ceiling(amount_pico: int) -> int:
    """The top of an axis: the next 1, 2, 4 or 8 times a power of ten, so that its quarters are round."""
    if amount_pico <= 0:
        return _EMPTY_SCALE_PICO
    power: int = 10 ** (len(str(amount_pico)) - 1)
    steps: tuple[int, ...] = (1, 2, 4, 8, 10)
    return next(step * power for step in steps if step * power >= amount_pico)


def _draw(size: Size, points: Sequence[Point], series: Sequence[Series], scale_pico: int) -> Drawing:
    plot_height = size.height - _TOP_SPACE - _LABEL_SPACE
    slot = (size.width - size.axis_space) / max(1, len(points))
    label_every = -(-len(points) // size.labels_max) or 1
    columns = tuple(
        _column(point, size.axis_space + index * slot, slot, _stack(point, series, scale_pico, plot_height),
                labelled=(len(points) - 1 - index) % label_every == 0)
        for index, point in enumerate(points)
    )  # fmt: skip
    return Drawing(size, columns, _grid(scale_pico, plot_height), _TOP_SPACE, plot_height, size.height - 4)


def _column(point: Point, slot_x: float, slot: float, blocks: tuple[Block, ...], *, labelled: bool) -> Column:
    return Column(
        x=_number(slot_x + slot * _GAP_SHARE / 2),
        width=_number(slot * (1 - _GAP_SHARE)),
        middle=_number(slot_x + slot / 2),
        slot_x=_number(slot_x),
        slot_width=_number(slot),
        label=point.label if labelled else "",
        title=f"{point.name}: {usd_display(point.total_pico)}",
        href=point.href,
        blocks=blocks,
    )


def _stack(point: Point, series: Sequence[Series], scale_pico: int, plot_height: int) -> tuple[Block, ...]:
    """Pile the blocks from the axis up, the largest series lowest."""
    blocks, base_pico = [], 0
    for entry in series:
        amount_pico = point.amounts.get(entry.number, 0)
        if amount_pico <= 0:
            continue
        base_pico += amount_pico
        top = _TOP_SPACE + plot_height * (1 - base_pico / scale_pico)
        blocks.append(Block(entry.number, _number(top), _number(plot_height * amount_pico / scale_pico)))
    return tuple(blocks)


def _grid(scale_pico: int, plot_height: int) -> tuple[GridLine, ...]:
    lines = []
    for step in range(GRID_LINES + 1):
        y = _TOP_SPACE + plot_height * (1 - step / GRID_LINES)
        lines.append(GridLine(_number(y), _number(y + 4), usd_display(scale_pico * step // GRID_LINES)))
    return tuple(lines)


def _summary(points: Sequence[Point], total_pico: int) -> str:
    if total_pico <= 0:
        return "Nothing was spent."
    top = max(points, key=lambda point: point.total_pico)
    return f"{usd_display(total_pico)} in all; most on {top.name}: {usd_display(top.total_pico)}."


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
