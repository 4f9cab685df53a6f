"""Answers of the databases that are asked over the web: OPTIMADE (any provider) and OQMD, page by page.

https://specification.optimade.org, https://static.oqmd.org/static/docs/restful.html. A structure is read where the
answer holds all of it; one that is disordered, or of which a field was not asked for, is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from crystalcli.nouns.structures.check import is_full
from crystalcli.nouns.structures.json_layouts import Record, is_structure
from crystalcli.vocabulary.quantities import Quantity

_DEEPEST = 8
"""``optimade-get`` writes structures → filter → address → page."""
_FIELDS = ("lattice_vectors", "cartesian_site_positions", "species_at_sites")
_INCOMPLETE = ("implicit_atoms", "unknown_positions", "site_attachments")
_SITE = re.compile(r"\s*([A-Z][a-z]?)\s*@\s*(\S+)\s+(\S+)\s+(\S+)\s*")
_OF_OQMD: Mapping[str, Quantity] = {
    "delta_e": Quantity("delta_e", "eV/atom"),
    "stability": Quantity("stability", "eV/atom"),
    "band_gap": Quantity("band_gap", "eV"),
}
_TEXTS_OF_OQMD = ("name", "prototype", "spacegroup")
_MORE = "the answer is one page of several: its links name the next one"


def answers(data: Any) -> Any:
    """The structures of an answer as records; anything else as it is."""
    found = list(_records(data, 0))
    return found or data


def _records(data: Any, depth: int) -> Iterator[Record]:
    if depth > _DEEPEST or is_structure(data):
        return
    if isinstance(data, list):
        for item in data:
            if isinstance(item, (dict, list)):
                yield from _records(item, depth + 1)
    elif isinstance(data, dict):
        of_optimade = data.get("type") == "structures" and isinstance(data.get("attributes"), dict)
        if of_optimade or all(key in data for key in _FIELDS):
            yield _optimade(data, data["attributes"] if of_optimade else data)
        elif isinstance(data.get("unit_cell"), list) and _are_words(data.get("sites")):
            yield _oqmd(data)
        else:
            notes = (_MORE,) if isinstance(data.get("links"), dict) and data["links"].get("next") else ()
            for item in data.values():
                for record in _records(item, depth + 1):
                    yield replace(record, notes=(*record.notes, *notes))


def _are_words(sites: Any) -> bool:
    return isinstance(sites, list) and bool(sites) and all(isinstance(site, str) for site in sites)


def _optimade(item: dict[str, Any], said: dict[str, Any]) -> Record:
    """Of the attributes those of the provider are offered as labels; the others say again what the structure is."""
    name = str(item.get("id") or "")
    lacking = [key for key in _FIELDS if said.get(key) is None]
    if lacking:
        return Record(name, {}, fault=f"has no {', '.join(lacking)}: ask for them with response_fields")
    if said.get("dimension_types") not in (None, [1, 1, 1]):
        return Record(name, {}, fault=f"dimension_types is {said['dimension_types']}: no crystal in three directions")
    odd = [f for f in said.get("structure_features") or () if f in _INCOMPLETE]
    if odd:
        return Record(name, {}, fault=f"structure_features says {', '.join(map(str, odd))}: atoms are missing")
    elements: dict[Any, str] = {}
    for one in said.get("species") or ():
        symbols = one.get("chemical_symbols") if isinstance(one, dict) else None
        if not isinstance(symbols, list) or not symbols:
            return Record(name, {}, fault="a species has no chemical_symbols")
        amounts = one.get("concentration") or [1.0]
        if len(symbols) > 1 or not isinstance(amounts[0], (int, float)) or not is_full(float(amounts[0])):
            return Record(name, {}, fault=f"partial occupancy: species {one.get('name')} is {' and '.join(symbols)}")
        elements[one.get("name")] = symbols[0]
    sites = said["species_at_sites"]
    structure = {
        "lattice_mat": said["lattice_vectors"],
        "coords": said["cartesian_site_positions"],
        "elements": [elements.get(s, s) for s in sites] if isinstance(sites, list) else sites,
        "cartesian": True,
    }
    return Record(name, structure, {key: value for key, value in said.items() if key.startswith("_")})


def _oqmd(item: dict[str, Any]) -> Record:
    name = str(item.get("entry_id") or item.get("name") or "")
    found = [_SITE.fullmatch(site) for site in item["sites"]]
    if None in found:
        bad = item["sites"][found.index(None)]
        return Record(name, {}, fault=f"site '{bad[:40]}' is not of the kind 'Cs @ 0 0 0'")
    whole = [site for site in found if site is not None]
    structure = {
        "lattice_mat": item["unit_cell"],
        "coords": [list(site.groups()[1:]) for site in whole],
        "elements": [site[1] for site in whole],
    }
    beside = {key: item[key] for key in (*_OF_OQMD, *_TEXTS_OF_OQMD) if item.get(key) is not None}
    return Record(name, structure, beside, _OF_OQMD)
