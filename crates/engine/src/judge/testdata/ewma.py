#!/usr/bin/env python3
"""Recomputes the last column of golden/{clicks,daily_curve,latency,requests}.csv: the distance of each value from the mean of
`ewma` in standard deviations, by what was known before it. Written from the description of `ewma`, not from the program.

The first 50 values start the mean and the variance, without leading values more than six robust standard deviations from their
median. Then West's recursion with weight 0.005. Until 400 values were seen, 50 consecutive values whose variance is below a
sixteenth of the state's replace it: their mean, and twice their variance. Nothing is outside the band here: it is infinitely
wide for that rule when K is infinite; the test uses K = 1 for the score, so K = 1 here.
"""
import math
import pathlib
import statistics

ALPHA, WARM, K, FLOOR, RELATIVE = 0.005, 50, 1.0, 1e-9, 1e-3


def distances(values):
    start, block, seen, mean, variance = [], [], 0, 0.0, 0.0
    for x in values:
        least = FLOOR + RELATIVE * abs(mean)
        sigma = max(math.sqrt(variance), least)
        yield abs(x - mean) / sigma if seen >= WARM else 0.0
        outside = seen >= WARM and abs(x - mean) / sigma > K
        seen += 1
        if seen <= WARM:
            start.append(x)
            if seen == WARM:
                median = statistics.median(start)
                mad = statistics.median(abs(y - median) for y in start)
                far = 6 * max(1.482602218505602 * mad, FLOOR + RELATIVE * abs(median))
                kept = list(start)
                while abs(kept[0] - median) > far:
                    kept.pop(0)
                mean = statistics.fmean(kept)
                variance = statistics.fmean((y - mean) ** 2 for y in kept)
            continue
        weight = max(ALPHA, 1 / seen)
        d = x - mean
        mean += weight * d
        variance = (1 - weight) * (variance + weight * d * d)
        if seen * ALPHA > 2:
            continue
        block = [] if outside else [*block, x]
        if len(block) == 50:
            centre = statistics.fmean(block)
            spread = statistics.fmean((y - centre) ** 2 for y in block)
            if variance > 16 * max(spread, (FLOOR + RELATIVE * abs(centre)) ** 2):
                mean, variance = centre, 2 * spread
            block = []


for name in ("clicks", "daily_curve", "latency", "requests"):
    file = pathlib.Path(__file__).parent / "golden" / f"{name}.csv"
    header, *lines = file.read_text().splitlines()
    rows = [line.split(",") for line in lines]
    found = list(distances([float(row[1]) for row in rows]))
    worst = max(abs(new - float(row[3])) / max(1.0, new) for new, row in zip(found, rows))
    print(f"{name}: greatest relative change {worst:.2e}")
    if worst > 1e-9:
        file.write_text("\n".join([header, *(",".join([*row[:3], f"{new:.12g}"]) for new, row in zip(found, rows))]) + "\n")
