"""A blueprint with one box Σ under every pre-activation: what the other units of a layer add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from microrecur.drawing.blueprint import Blueprint, Corners, Place, Route, rail, straight
from microrecur.drawing.roles import Cell
from microrecur.drawing.scene import Point

_DOWN = 60.0  # what stands below the pre-activations moves down by
_SIZE = (50.0, 36.0)
_BELOW = 54.0  # of a Σ from its pre-activation
_ROOM = 24.0  # below the middle of a pre-activation all moves


def with_sums(plan: Blueprint, cell: Cell, single: bool) -> Blueprint:
    """The same grid with room for Σ; a grid without pre-activations stays as it is."""
    if cell.kind == "rnn":
        return _beside_input(plan, single)
    affine = [part for part in plan.places if part.startswith(("z_", "a_")) or part == "m"]
    if not affine:
        return plan
    row = plan.places[affine[0]].y - _ROOM

    def shifted(point: Point) -> Point:
        return point[0], point[1] - _DOWN * (point[1] < row)

    places = {
        part: replace(place, y=shifted((0.0, place.y))[1]) for part, place in plan.places.items()
    }
    routes = {pair: _moved(route, shifted, row) for pair, route in plan.routes.items()}
    for part in affine:
        name = "Σ_m" if part == "m" else f"Σ_{part[2:]}"
        if name not in cell.part_names:
            continue
        place = places[part]
        places[name] = Place(place.x, place.y - _BELOW, _SIZE, "state")
        routes[name, part] = straight("optional")
    low = plan.low - _DOWN
    if "x" not in cell.part_names:  # several inputs: they are part of Σ
        low += 50.0 if single else 78.0
    if ("h-", "m") in routes:  # straight up through the middle, where the Σ now stands
        bus = routes["h-", "a_z"].corners((0.0, 0.0), (0.0, 0.0))[0][1]
        routes["h-", "m"] = rail(bus, -32.0)
    return replace(
        plan,
        places=places,
        routes=routes,
        panels=tuple(
            replace(
                gate,
                low=(gate.low[0], shifted(gate.low)[1]),
                label_at=(gate.label_at[0], shifted(gate.label_at)[1]),
            )
            for gate in plan.panels
        ),
        boxes={p: replace(b, y=shifted((0.0, b.y))[1]) for p, b in plan.boxes.items()},
        initial={p: replace(b, y=shifted((0.0, b.y))[1]) for p, b in plan.initial.items()},
        low=low,
        loss_rail=shifted((0.0, plan.loss_rail))[1],
    )


def _moved(route: Route, shifted: Callable[[Point], Point], row: float) -> Route:
    """The same course on a grid whose lower part has moved."""

    def back(point: Point) -> Point:
        return point[0], point[1] + _DOWN * (point[1] < row - _DOWN)

    def corners(source: Point, target: Point) -> tuple[Point, ...]:
        return tuple(map(shifted, route.corners(back(source), back(target))))

    found: Corners = corners
    return replace(route, corners=found)


def _beside_input(plan: Blueprint, single: bool) -> Blueprint:
    if "z" not in plan.places:
        return plan
    x, z = plan.places["x"], plan.places["z"]
    places, routes = dict(plan.places), dict(plan.routes)
    if single:
        places["Σ"] = Place(z.x + 40.0, x.y, (64.0, 40.0), "state")
    else:
        places["x"] = replace(x, x=z.x - 34.0)
        places["Σ"] = Place(z.x + 44.0, x.y + 10.0, _SIZE, "state")
    routes["Σ", "z"] = straight("none")
    return replace(plan, places=places, routes=routes)
