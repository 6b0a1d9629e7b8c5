"""Two plots: winners among variants that are alike, and differences found, by the units looked at."""

from __future__ import annotations

from collections.abc import Sequence

from tests.perf.experiments.alike import PROMISED, UNITS
from tests.perf.experiments.detection import KINDS
from tests.perf.experiments.parts import Part, happened
from tests.perf.simulation.drawing import Canvas

STEPS = 200
SHOWN_UNITS = 1_500


def alarms(part: Part) -> str:
    lines = [
        ("by the rule of experiments", 0, part.series["ours"]),
        ("a test for one fixed moment, looked at all the time", 1, part.series["fixed"]),
    ]
    highest = max(0.1, *(happened(times) / len(times) for _, _, times in lines))
    title = "A winner among two variants that are alike"
    return _shares(title, lines, UNITS, 500, highest * 1.05, 0.1, PROMISED)


def found(part: Part) -> str:
    lines = [
        (kind.name.partition(" (")[0], color, part.series[kind.name])
        for color, kind in zip((2, 0, 3, 1), KINDS, strict=True)
    ]
    return _shares("A true difference is found", lines, SHOWN_UNITS, 250, 1.0, 0.2, None)


def _shares(
    title: str,
    lines: Sequence[tuple[str, int, Sequence[float]]],
    most: int,
    every: int,
    highest: float,
    step: float,
    limit: float | None,
) -> str:
    canvas = Canvas(860, 440, title)
    canvas.top = 80.0

    def x(units: float) -> float:
        return canvas.left + units / most * (canvas.right - canvas.left)

    def y(share: float) -> float:
        return canvas.bottom - share / highest * (canvas.bottom - canvas.top)

    for units in range(0, most + 1, every):
        canvas.grid_x(x(units), f"{units:,}")
    for number in range(int(highest / step + 1e-9) + 1):
        canvas.grid_y(y(number * step), f"{number * step:.0%}")
    if limit is not None:
        canvas.line([(x(0), y(limit)), (x(most), y(limit))], 4)
        canvas.text(canvas.right, y(limit) - 6, f"promised: at most {limit:.0%}", kind="faint", anchor="end")
    for _, color, times in lines:
        steps = [most * number / STEPS for number in range(STEPS + 1)]
        canvas.line([(x(one), y(happened(times, one) / len(times))) for one in steps], color)
    canvas.axes("units per variant", "")
    canvas.legend([(name, color) for name, color, _ in lines], 54)
    return canvas.svg()
