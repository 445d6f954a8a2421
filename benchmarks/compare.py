"""The race: everyone on the same file, in turn, round after round, each pinned to the same cores.

First every answer is compared with the truth, and who is wrong does not run. Then the rounds: in each, everybody runs
once on one core and once on two, so that whatever the machine does meanwhile, it does to all of them.
"""

from __future__ import annotations

import json
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from benchmarks import data, measure
from benchmarks.answers import differences
from benchmarks.competitors import COMPETITORS, FLOOR, PROBE, Competitor
from benchmarks.measure import Failed, Run

VERIFY_TIMEOUT_SECONDS: Final = 900


@dataclass(frozen=True, slots=True)
class Race:
    shape: str
    rows: int | None
    rounds: int
    slow_rounds: int
    """Of those who take long."""
    with_slow: bool = True

    def of_rounds(self, rounds: int) -> Self:
        return replace(self, rounds=rounds, slow_rounds=min(rounds, self.slow_rounds))


def whole() -> list[Race]:
    return [
        Race("orders", None, 5, 2),
        Race("orders", 10_000_000, 3, 2),
        *(Race(shape, None, 3, 0, with_slow=False) for shape in ("wide", "narrow", "text", "quoted")),
    ]


def quick() -> list[Race]:
    rows = {"orders": 200_000, "wide": 9_000, "narrow": 1_500_000, "text": 20_000, "quoted": 150_000}
    return [Race(shape, count, 1, 0, with_slow=False) for shape, count in rows.items()]


def run(races: Iterable[Race], cores: Sequence[int], only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One document per race; ``only`` names competitors, all of them if empty."""
    return [_race(race, cores, [each for each in COMPETITORS if not only or each.name in only]) for race in races]


def _race(race: Race, cores: Sequence[int], competitors: Sequence[Competitor]) -> dict[str, Any]:
    place = data.folder(race.shape, race.rows)
    size_mb = data.megabytes(place)
    invited = [each for each in competitors if size_mb <= each.largest_mb and (race.with_slow or not each.slow)]
    data.warm(place)
    parquet = _valid_rows(place) if any(each.name == FLOOR for each in invited) else None
    wrong: dict[str, str] = {}
    for each in (each for each in invited if each.name != FLOOR):
        if why := _verify(each, place):
            wrong[each.name] = why
        print(f"{race.shape}, {size_mb:.0f} MB: {each.name}: {why or 'right'}", flush=True)
    right = [each for each in invited if each.name not in wrong]
    runs = _rounds(race, right, cores, place, parquet)
    return {
        "shape": race.shape,
        "rows": data.rows_of(place),
        "size_mb": size_mb,
        "competitors": {each.name: _entry(each, runs[each.name], place, parquet) for each in right if runs[each.name]},
        "wrong": wrong,
    }


def _rounds(
    race: Race, right: Sequence[Competitor], cores: Sequence[int], place: Path, parquet: Path | None
) -> Mapping[str, Mapping[int, list[Run]]]:
    """Name → cores → the runs."""
    runs: dict[str, dict[int, list[Run]]] = {each.name: defaultdict(list) for each in right}
    for number in range(race.rounds):
        for count in cores:
            for each in right:
                if number < (race.slow_rounds if each.slow else race.rounds) and not (each.name == FLOOR and count > 1):
                    runs[each.name][count].append(_timed(each, place, count, parquet))
        print(f"{race.shape}, {data.megabytes(place):.0f} MB: round {number + 1} of {race.rounds}", flush=True)
    return runs


def _entry(each: Competitor, runs: Mapping[int, list[Run]], place: Path, parquet: Path | None) -> dict[str, Any]:
    """Cores → the summary. Who had children runs once more, with their memory looked at."""
    entry = {}
    for count, found in runs.items():
        entry[str(count)] = _summary(found)
        if any(run.has_children for run in found):
            looked_at = _timed(each, place, count, parquet, with_memory=True)
            entry[str(count)] |= _figures([looked_at], "peak_mb")
    return entry


def _verify(each: Competitor, place: Path) -> str | None:
    """Why the competitor's answer is not the truth; None where it is."""
    out = _empty()
    try:
        cores = 2 if len(measure.allowed()) > 1 else 1
        measure.run(each.command(place, out), cores, data.WORK, VERIFY_TIMEOUT_SECONDS)
        wrong = differences(each.answer(out), place)
    except Failed as error:
        return str(error).strip().splitlines()[-1]
    if wrong:
        return f"{wrong[0]}; {len(wrong)} differences" if len(wrong) > 1 else wrong[0]
    return None


def _valid_rows(place: Path) -> Path:
    """What the floor writes once more, as the probe wrote it."""
    (probe,) = (each for each in COMPETITORS if each.name == PROBE)
    out = _empty()
    measure.run(probe.command(place, out), 1, data.WORK)
    return Path(shutil.copy(out / "data.parquet", data.WORK / "valid.parquet"))


def _timed(each: Competitor, place: Path, cores: int, parquet: Path | None, with_memory: bool = False) -> Run:
    command = each.command(place, _empty(), parquet)
    return measure.run(command, cores, data.WORK, VERIFY_TIMEOUT_SECONDS, with_memory=with_memory)


def _empty() -> Path:
    shutil.rmtree(data.OUT, ignore_errors=True)
    data.OUT.parent.mkdir(parents=True, exist_ok=True)
    return data.OUT


def _summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Medians, and the smallest and largest; of what the competitor itself printed as JSON the smallest."""
    summary: dict[str, Any] = {"runs": len(runs)} | _figures(runs, "wall_seconds", "cpu_seconds", "peak_mb")
    printed = [json.loads(run.output) for run in runs if run.output.startswith("{")]
    if printed:
        summary["printed"] = {key: min(each[key] for each in printed) for key in printed[0]}
    return summary


def _figures(runs: Sequence[Run], *keys: str) -> dict[str, dict[str, float]]:
    values = {key: [getattr(run, key) for run in runs] for key in keys}
    return {
        key: {"median": statistics.median(each), "min": min(each), "max": max(each)} for key, each in values.items()
    }
