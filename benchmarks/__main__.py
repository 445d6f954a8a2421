"""Everything that is measured, in one command; what it finds goes to ``results.json`` and from there to ``README.md``.

    python -m benchmarks [SECTION…] [--quick] [--shapes S…] [--largest-mb N] [--only NAME…] [--cores N…] [--rounds N]

Sections: race, memory, dirty, start, scaling, pipeline; all of them if none is named. Those not run keep their figures.
``--quick`` takes small files and one round: it shows that everything works, and its figures are printed, not kept.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import compare, data, figures, measure, pipeline, readme, start
from benchmarks.competitors import COMPETITORS

RESULTS: Final = Path(__file__).parent / "results.json"
FIGURES: Final[Mapping[str, Callable[[bool], Any]]] = {
    "memory": figures.memory,
    "dirty": figures.dirty,
    "start": start.start,
    "scaling": figures.scaling,
    "pipeline": pipeline.pipeline,
}


def main() -> None:
    given = _arguments()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() and not given.quick else {}
    machine = _machine()
    for section in given.sections or ["race", *FIGURES]:
        print(f"{section} …", flush=True)
        if section == "race":
            races = compare.quick() if given.quick else compare.whole()
            races = [race for race in races if not given.shapes or race.shape in given.shapes]
            if given.largest_mb is not None:
                races = [
                    race for race in races if data.megabytes(data.folder(race.shape, race.rows)) <= given.largest_mb
                ]
            if given.rounds is not None:
                races = [race.of_rounds(given.rounds) for race in races]
            found = [{"machine": machine, **race} for race in compare.run(races, given.cores, given.only)]
            ran = {(race["shape"], race["rows"]["read"]) for race in found}
            kept = [race for race in results.get("race", []) if (race["shape"], race["rows"]["read"]) not in ran]
            results["race"] = readme.in_order([*kept, *found])
        else:
            results[section] = FIGURES[section](given.quick)
            results["machines"] = {**results.get("machines", {}), section: machine}
        if not given.quick and given.rounds != 0:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            readme.update(results)
    print(readme.text(results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Sluice and its peers.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"race, {', '.join(FIGURES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="small files, one round, nothing is written down")
    parser.add_argument("--shapes", nargs="*", default=[], help="only these files in the race")
    parser.add_argument("--only", nargs="*", default=[], choices=[each.name for each in COMPETITORS], metavar="NAME")
    parser.add_argument("--largest-mb", type=float, help="no larger file in the race")
    parser.add_argument("--rounds", type=int, help="of the race, for everyone; 0: only the answers are checked")
    cores = [count for count in (1, 2) if count <= len(measure.allowed())]
    parser.add_argument("--cores", nargs="*", type=int, default=cores, choices=cores)
    given = parser.parse_args()
    if unknown := set(given.sections) - {"race", *FIGURES}:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    return given


def _machine() -> dict[str, Any]:
    cpu = Path("/proc/cpuinfo").read_text().split("model name", 1)[-1].splitlines()[0].strip("\t: ")
    return {"cpu": cpu, "cores": len(measure.allowed()), "python": platform.python_version()}


if __name__ == "__main__":
    main()
