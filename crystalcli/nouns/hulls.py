"""Lower convex hulls of points in a plane, whatever is drawn or looked for on them."""

from __future__ import annotations

from collections.abc import Iterable

Point = tuple[float, float]


def lower_hull(points: Iterable[Point]) -> list[Point]:
    """Corners of the lower convex hull, in order of x (A. M. Andrew, Inf. Process. Lett. 9, 216 (1979)).

    Of points at one x the lowest counts; those on a straight line between two others are no corners.
    """
    hull: list[Point] = []
    for x, y in sorted(points):
        if hull and hull[-1][0] == x:
            continue
        while len(hull) > 1:
            (a, p), (b, q) = hull[-2:]
            if (b - a) * (y - p) > (q - p) * (x - a):
                break
            hull.pop()
        hull.append((x, y))
    return hull
