"""Which locations a line's units come from and leave from (R8). Pure."""

from collections.abc import Mapping

from bostream.domain.sku.state import Line, Place


def drawing_order(locations: tuple[str, ...], free: Mapping[str, int]) -> list[str]:
    """Return the locations with free stock in the order in which a line draws on them.

    Args:
        locations: the line's allowed locations in order of preference; empty means any: most free stock first, ties by
            location id.
        free: free units by location, all > 0.
    """
    if locations:
        return [location for location in dict.fromkeys(locations) if location in free]
    if len(free) == 1:
        return list(free)
    return sorted(free, key=lambda location: (-free[location], location))


def leaving_order(line: Line, free: Mapping[str, int]) -> list[Place]:
    """Return the line's places with unpicked units in the order in which it gives units back.

    With a list: its reverse, places that are not allowed any more first. With none: least free stock first (``free``
    lists what is not 0, deficits too). Ties by the greater location id.
    """
    places = [place for place in line.places if place.unpicked]
    if len(places) > 1:
        places.sort(key=lambda place: place.location, reverse=True)
        allowed = list(dict.fromkeys(line.terms.locations))
        if allowed:
            places.sort(
                key=lambda place: -allowed.index(place.location) if place.location in allowed else -len(allowed)
            )
        else:
            places.sort(key=lambda place: free.get(place.location, 0))
    return places
