"""``results.json`` as tables, and ``README.md`` with those tables between its markers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.competitors import COMPETITORS, FLOOR, SLUICE
from benchmarks.shapes import SHAPES

README: Final = Path(__file__).parent / "README.md"
BEGIN: Final = "<!-- figures: written by `make bench`, not by hand -->"
END: Final = "<!-- end of figures -->"
PEERS: Final = {each.name for each in COMPETITORS if each.peer}
ABOUT: Final = {
    "orders": "9 columns",
    "wide": "200 columns",
    "narrow": "3 columns",
    "text": "mostly long text",
    "quoted": "every field quoted, line feeds within",
}


def update(results: Mapping[str, Any]) -> None:
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{text(results)}\n{END}{after}")


def text(results: Mapping[str, Any]) -> str:
    parts = [_on(race["machine"], _race(race)) for race in results.get("race", [])]
    for key, write in _FIGURES.items():
        if key in results:
            parts.append(_on(results["machines"][key], write(results[key])))
    return "\n\n".join(parts) + "\n"


def _on(machine: Mapping[str, Any], section: str) -> str:
    """The section with its machine: those that were not run keep their figures, and where those are from."""
    head, _, rest = section.partition("\n\n")
    return f"{head}\n\nOn {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}.\n\n{rest}"


def in_order(races: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(races, key=lambda race: (list(SHAPES).index(race["shape"]), race["rows"]["read"]))


def _race(race: Mapping[str, Any]) -> str:
    rows, found = race["rows"]["read"], race["competitors"]
    cores = sorted({count for each in found.values() for count in each})
    head = ["", *(cell for count in cores for cell in (_cores(count), "MB/s", "× Sluice", "CPU s", "peak MB"))]
    lines = [
        [each.title, *(cell for count in cores for cell in _entry(each.name, count, race))]
        for each in COMPETITORS
        if each.name in found and each.name != FLOOR
    ]
    parts = [
        f"### {race['shape']}: {ABOUT[race['shape']]}, {rows:,} rows, {race['size_mb']:.0f} MB",
        _table(head, lines),
    ]
    parts += [sentence for count in cores if (sentence := _verdict(race, count))]
    if FLOOR in found:
        parts.append(_floor(race))
    if "json_rows" in found and SLUICE in found:
        parts.append(_json_rows(race))
    if race["wrong"]:
        titles = {each.name: each.title for each in COMPETITORS}
        parts.append("Not raced, because the answer was wrong:")
        parts.append("\n".join(f"- {titles[name]}: {why}" for name, why in race["wrong"].items()))
    return "\n\n".join(parts)


def _entry(name: str, cores: str, race: Mapping[str, Any]) -> list[str]:
    entry = race["competitors"][name].get(cores)
    if entry is None:
        return [""] * 5
    wall, ours = entry["wall_seconds"], race["competitors"].get(SLUICE, {}).get(cores)
    ratio = f"{wall['median'] / ours['wall_seconds']['median']:.2f}" if ours else ""
    return [
        f"{wall['median']:.2f} ({wall['min']:.2f}–{wall['max']:.2f})",
        f"{race['size_mb'] / wall['median']:.0f}",
        ratio,
        f"{entry['cpu_seconds']['median']:.2f}",
        f"{entry['peak_mb']['max']:.0f}",
    ]


def _verdict(race: Mapping[str, Any], cores: str) -> str:
    walls = {
        name: entry[cores]["wall_seconds"]["median"]
        for name, entry in race["competitors"].items()
        if cores in entry and (name in PEERS or name == SLUICE)
    }
    peers = [name for name in walls if name != SLUICE]
    if SLUICE not in walls or not peers:
        return ""
    fastest = min(peers, key=walls.__getitem__)
    ratio = walls[SLUICE] / walls[fastest]
    title = next(each.title for each in COMPETITORS if each.name == fastest)
    return f"On {_cores(cores).removesuffix(' s')} Sluice takes {ratio:.2f} × the time of the fastest peer ({title})."


def _floor(race: Mapping[str, Any]) -> str:
    printed = race["competitors"][FLOOR]["1"]["printed"]
    runs = race["competitors"][FLOOR]["1"]["runs"]
    work, whole = printed["parse"] + printed["write"], sum(printed.values())
    sentence = (
        f"The floor, in CPU seconds of one thread, best of {runs}: parsing to text {printed['parse']:.2f} + writing "
        f"the same Parquet {printed['write']:.2f} = {work:.2f}; with the imports {whole:.2f}."
    )
    ours = race["competitors"].get(SLUICE, {}).get("1")
    if ours is None:
        return sentence
    cpu = ours["cpu_seconds"]["median"]
    return (
        f"{sentence} Sluice's whole process on one core: {cpu:.2f}, {cpu / work:.2f} × ({cpu / whole:.2f} ×) the floor."
    )


def _json_rows(race: Mapping[str, Any]) -> str:
    printed = race["competitors"]["json_rows"]["1"]["printed"]
    ours = race["competitors"][SLUICE]["1"]["cpu_seconds"]["median"]
    return (
        f"Rows as JSON to Lambda: {printed['invocations']:,.0f} invocations, {printed['cpu_seconds']:.1f} CPU s in "
        f"the workers alone (its line above holds the making of the JSON too): {printed['cpu_seconds'] / ours:.1f} × "
        "Sluice's whole process."
    )


def _memory(found: Mapping[str, Any]) -> str:
    lines = [[f"{each['size_mb']:.0f}", str(each["cores"]), f"{each['peak_mb']:.0f}"] for each in found["check"]]
    chunk = found["chunk"]
    return "\n\n".join(
        [
            "### Memory",
            _table(["`check`, MB", "cores", "peak MB"], lines),
            f"One chunk of {chunk['size_mb']:.0f} MB with {chunk['columns']} columns in its worker: "
            f"peak {chunk['peak_mb']:.0f} MB.",
        ]
    )


def _dirty(found: Sequence[Mapping[str, Any]]) -> str:
    clean = found[0]["wall_seconds"]
    lines = [
        [
            f"{each['bad_share']:.1%}",
            _WRONG[each["shape"]] if each["bad_share"] else "",
            *_times(each),
            f"{each['wall_seconds'] / clean:.2f}",
        ]
        for each in found
    ]
    return "### Dirty data\n\n" + _table(["bad rows", "what is wrong", "seconds, 1 core", "CPU s", "× clean"], lines)


_WRONG: Final = {"orders": "values of cells", "stray": "text after a closing quote"}


def _start(found: Mapping[str, Any]) -> str:
    lines = [[name, f"{each['own']:.3f}", f"{each['with_clients']:.3f}"] for name, each in found["functions"].items()]
    package = found["package"]
    return "\n\n".join(
        [
            "### Start",
            _table(["function", "imports, s", "with the AWS clients of its first call, s"], lines),
            f"The package of the functions without the layer: {package['zipped_mb']:.2f} MB zipped, "
            f"{package['unpacked_mb']:.2f} MB unpacked.",
        ]
    )


def _scaling(found: Mapping[str, Any]) -> str:
    sizes = [_sized(each) for each in found["sizes"]]
    grown = [[str(each["chunks"]), *_sized(each)] for each in found["grown"]]
    one = found["chunks"][0]["wall_seconds"]
    chunks = [[str(each["chunks"]), *_times(each), f"{each['wall_seconds'] / one:.2f}"] for each in found["chunks"]]
    fit = found["fit"]
    return "\n\n".join(
        [
            "### Scaling",
            _table(_SIZED, sizes),
            f"A file of ten rows takes {found['fixed_seconds']:.2f} s. The straight line through the sizes: "
            f"{fit['start_seconds']:.2f} s and {fit['seconds_per_mb'] * 1e3:.2f} ms per MB.",
            _table(
                [f"chunks of one file, {found['chunked_mb']:.0f} MB", "seconds, 1 core", "CPU s", "× one chunk"], chunks
            ),
            _table(["chunks of one size", *_SIZED], grown),
        ]
    )


def _pipeline(found: Mapping[str, Any]) -> str:
    large, small, check = found["large"], found["small"], found["check_seconds"]
    lines = [
        [name, f"{each['upload']:.2f}", f"{each['processing']:.2f}", f"{each['all']:.2f}"]
        for name, each in (("10 rows", small), (f"{found['size_mb']:.0f} MB", large))
    ]
    return "\n\n".join(
        [
            "### Through the whole pipeline, in the emulator",
            _table(["", "upload, s", "to SUCCEEDED, s", "together, s"], lines),
            f"`check` on the large file, on the same {found['cores']} cores: {check:.2f} s; the pipeline takes "
            f"{large['all'] / check:.2f} × that with the upload, {large['processing'] / check:.2f} × without.",
        ]
    )


_FIGURES: Final[Mapping[str, Callable[[Any], str]]] = {
    "memory": _memory,
    "dirty": _dirty,
    "start": _start,
    "scaling": _scaling,
    "pipeline": _pipeline,
}


_SIZED: Final = ("MB", "seconds, 1 core", "CPU s", "ms per MB", "ms per MB without the start")


def _sized(each: Mapping[str, float]) -> list[str]:
    per_mb, slope = (f"{each[name] * 1e3:.2f}" for name in ("per_mb", "slope_per_mb"))
    return [f"{each['size_mb']:.0f}", *_times(each), per_mb, slope]


def _times(each: Mapping[str, float]) -> list[str]:
    return [f"{each['wall_seconds']:.2f} ({each['min']:.2f}–{each['max']:.2f})", f"{each['cpu_seconds']:.2f}"]


def _cores(count: str) -> str:
    return "1 core s" if count == "1" else f"{count} cores s"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])
