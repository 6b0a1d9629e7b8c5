"""A plain SVG canvas with axes: readable on light and on dark pages, and no library for two plots.

Colours are classes, chosen by `prefers-color-scheme`, which browsers ask about inside images too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; } .faint { fill: #59636e; font-size: 12px; }
.grid { stroke: #d1d9e0; stroke-width: 1; } .band { opacity: .35; }
.c0 { --c: #0969da; } .c1 { --c: #bc4c00; } .c2 { --c: #1a7f37; } .c3 { --c: #8250df; } .c4 { --c: #6e7781; }
.dot { fill: var(--c); } .line { stroke: var(--c); stroke-width: 2; fill: none; } .area { fill: var(--c); }
.of { fill: var(--c); }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .faint { fill: #9198a1; } .grid { stroke: #3d444d; }
  .c0 { --c: #4493f8; } .c1 { --c: #f0883e; } .c2 { --c: #3fb950; }
  .c3 { --c: #ab7df8; } .c4 { --c: #9198a1; }
}
"""
Box = tuple[float, float, float, float]
_CHARACTER = 7.0


class Canvas:
    """Pixels; `left`, `top`, `right`, `bottom` bound the plot inside its margins."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.left, self.top, self.right, self.bottom = 70.0, 50.0, width - 30.0, height - 60.0
        self._size = (width, height)
        self._parts: list[str] = []
        self._boxes: list[Box] = []
        self.text(self.left, 26, title, kind="title")

    def text(self, x: float, y: float, what: str, *, kind: str = "", anchor: str = "start") -> None:
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(what)}</text>'
        )

    def grid_x(self, x: float, label: str) -> None:
        self._line(x, self.top, x, self.bottom)
        self.text(x, self.bottom + 18, label, kind="faint", anchor="middle")

    def grid_y(self, y: float, label: str) -> None:
        self._line(self.left, y, self.right, y)
        self.text(self.left - 8, y + 4, label, kind="faint", anchor="end")

    def axes(self, x_title: str, y_title: str) -> None:
        self.text((self.left + self.right) / 2, self.bottom + 42, x_title, kind="faint", anchor="middle")
        self.text(self.left, self.top - 8, y_title, kind="faint")

    def band(self, x: float, width: float, color: int) -> None:
        height = self.bottom - self.top
        self._parts.append(
            f'<rect x="{x:.1f}" y="{self.top}" width="{max(width, 1.5):.1f}" height="{height}" '
            f'class="c{color} area band"/>'
        )

    def line(self, points: Sequence[tuple[float, float]], color: int) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{path}" class="c{color} line"/>')

    def dot(self, x: float, y: float, color: int) -> None:
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" class="c{color} dot"/>')
        self._boxes.append((x - 7, y - 7, x + 7, y + 7))

    def label(self, x: float, y: float, what: str, color: int) -> None:
        """Beside a dot, at the first place around it where nothing stands yet. After all dots."""
        width = len(what) * _CHARACTER
        for distance in range(12, 80, 6):
            for dx, dy in ((1, 0), (-1, 0), (1, -1), (1, 1), (-1, -1), (-1, 1), (0, -1), (0, 1)):
                at = x + dx * min(distance, 12) - (width if dx < 0 else width / 2 if not dx else 0)
                base = y + 4 + dy * distance
                box = (at, base - 12, at + width, base + 4)
                if self.left <= at and box[2] <= self.right and self._free(box):
                    self._boxes.append(box)
                    self.text(at, base, what, kind=f"c{color} of")
                    return
        self.text(x, y, what)

    def legend(self, entries: Sequence[tuple[str, int]], y: float) -> None:
        x = self.left
        for what, color in entries:
            self._parts.append(
                f'<rect x="{x:.1f}" y="{y - 10}" width="14" height="10" class="c{color} area"/>'
            )
            self.text(x + 20, y, what)
            x += 44 + len(what) * _CHARACTER

    def svg(self) -> str:
        width, height = self._size
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
        return "\n".join([head, f"<style>{_STYLE}</style>", *self._parts, "</svg>", ""])

    def _line(self, x: float, y: float, to_x: float, to_y: float) -> None:
        self._parts.append(f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" class="grid"/>')

    def _free(self, box: Box) -> bool:
        left, top, right, bottom = box
        return all(right < a or left > c or bottom < b or top > d for a, b, c, d in self._boxes)


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten from `low` to `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [
        tick for power in powers for tick in (10.0**power * step for step in (1, 2, 5)) if low <= tick <= high
    ]
