#!/usr/bin/env python3
"""recurrence.py [--check FILE] [> recurrence.csv]: the expected output of `auto`, transcribed without any shortcut.

Writes a made-up series with its score, rarity and size, or compares another file of these columns with this transcription:
seconds,value,score,periods until one as large recurs,size. It keeps lists of everything instead of running sums where that
is simpler, and fades all counts with every sample.
"""
import csv
import math
import random
import sys

DAY = 86_400.0
BINS, SMALLEST, STEP = 64, 0.02, math.log(1e5) / 62


class Hours:
    """The usual level of every hour of a day (24) or a week (168)."""

    def __init__(self, hours, rate):
        self.offset, self.times, self.rate = [0.0] * hours, [0] * hours, rate
        self.level, self.spread, self.seen = None, 0.0, 0

    def usual(self, t):
        hour = int(t // 3600) % len(self.offset)
        return self.level + self.times[hour] / (self.times[hour] + 3) * self.offset[hour]

    def learn(self, t, x):
        if self.level is None:
            self.level = x
        self.seen += 1
        hour, error = int(t // 3600) % len(self.offset), x - self.usual(t)
        most = 4 * self.spread if self.seen > 100 and self.spread > 0 else math.inf

        def clip(value):
            return max(-most, min(most, value))

        self.times[hour] += 1
        self.offset[hour] += max(self.rate, 1 / self.times[hour]) * clip(x - self.level - self.offset[hour])
        pace = max(0.005, 1 / self.seen)
        self.level += pace * clip(error)
        self.spread += pace * (min(abs(error), most) - self.spread)
        return error


class Mean:
    """The recent level, which starts over after fifty far values in a row on one side."""

    def __init__(self):
        self.mean, self.variance, self.seen, self.run = 0.0, 0.0, 0, 0

    def floor(self):
        return 1e-9 + 1e-3 * abs(self.mean)

    def sigma(self):
        return max(math.sqrt(self.variance), self.floor())

    def learn(self, x):
        distance, sigma, warm = x - self.mean, self.sigma(), self.seen >= 50
        step = max(-6 * sigma, min(6 * sigma, distance)) if warm else distance
        self.seen += 1
        alpha = max(0.005, 1 / self.seen)
        self.mean += alpha * step
        self.variance = (1 - alpha) * (self.variance + alpha * step * step)
        if warm:
            side = (distance / sigma > 5) - (distance / sigma < -5)
            self.run = (self.run + side if self.run * side >= 0 else side) if side else 0
            if abs(self.run) >= 50:
                self.__init__()


def excess(past, x):
    """By how much x is above and below all values of the past, in units of their range; then remembers x."""
    up = down = 0.0
    if past and max(past) > min(past):
        width = max(past) - min(past)
        up, down = max(0.0, (x - max(past)) / width), max(0.0, (min(past) - x) / width)
    past[:] = [min(past + [x]), max(past + [x])]
    return up, down


class Bars:
    """Novelty of bars of five minutes."""

    def __init__(self):
        self.values, self.number, self.open = [], None, None
        self.seasons = [(Hours(24, 0.1), []), (Hours(168, 0.2), [])]
        self.records = [[] for _ in range(7)]

    def add(self, t, x, far, dt):
        number = math.floor(t / 300)
        if number != self.number:
            self.open = None
        self.number = number
        if self.open is None or far > self.open[0]:
            self.open = (far, x)
        if dt <= 0 or math.floor((t + dt) / 300) == number:
            return 0.0
        value, self.open = self.open[1], None
        judged = len(self.values) >= 100
        self.values.append(value)
        for season, residuals in self.seasons:
            residuals.append(season.learn(number * 300, value))
        if not judged:
            return 0.0
        last, r = self.values[-5:], self.records
        total = sum(excess(r[0], value)) + 0.5 * excess(r[1], min(last))[0] + 0.5 * excess(r[2], max(last))[1]
        for (_, residuals), one, three in zip(self.seasons, r[3::2], r[4::2]):
            total += 0.5 * sum(excess(one, residuals[-1])) + 0.5 * sum(excess(three, sum(residuals[-3:]) / 3))
        return total


def bin_of(size):
    return min(int(math.log(size / SMALLEST) / STEP) + 1, BINS - 1)


def recurrence(rows, period=1.0):
    """(score, periods, size) of every row."""
    mean, day, bars = Mean(), Hours(24, 0.1), Bars()
    counts, age, memory, before, largest = [0.0] * BINS, 0.0, 0.0, None, None
    for t, x in rows:
        score = periods = size = 0.0
        if math.isfinite(x):
            dt = 0.0 if before is None else t - before
            before = t
            if dt > 0:
                days = min(dt, DAY) / DAY
                fade = 0.5 ** (days / 30)
                age, memory, counts = age + days, (memory + days) * fade, [n * fade for n in counts]
            if mean.seen == 0:
                mean.mean = x
            far, warm, sigma, floor = abs(x - mean.mean), mean.seen >= 50, mean.sigma(), mean.floor()
            spread = day.spread
            residual = abs(day.learn(t, x))
            novelty = bars.add(t, x, far, dt)
            mean.learn(x)
            if warm:
                r = 0.7979 * residual / max(spread, 0.7979 * floor)
                effect = math.sqrt((far / sigma + 0.1) * (r + 0.1)) / 5
                size = (1 + 10 * min(1, age / 21) ** 2 * novelty / 0.075) ** 0.3 * effect**0.7
            if size > SMALLEST:
                own = bin_of(size)
                share = min(1.0, max(0.0, math.log(size / SMALLEST) / STEP - (own - 1)))
                seen = sum(
                    n if place >= own else n * math.exp(-2 * STEP * (own - 1 - place + share + 0.5))
                    for place, n in enumerate(counts)
                )
                periods = (2 + memory / period) / (0.6 + seen)
                score = size * periods / 1.5
                if periods < 1:
                    score = min(score, 1.0)
                if largest is None or not 0 <= t - largest[1] <= 8 * 3600:
                    counts[own] += 1
                    largest = (size, t)
                elif size > largest[0]:
                    old = bin_of(largest[0])
                    if old != own:
                        counts[old] = max(0.0, counts[old] - 1)
                        counts[own] += 1
                    largest = (size, t)
        yield score, periods, size


def series():
    """Four days at five minutes, a gap, three hours at one minute, then half-hours; with spikes, a shift and a flat part."""
    draw, t = random.Random(7), 1_700_000_000

    def usual(t):
        return 100 + 10 * math.sin(2 * math.pi * t / DAY) + draw.gauss(0, 2)

    for row in range(700):
        t += 300
        yield t, math.nan if row == 333 else usual(t) + (60 if row % 211 == 210 else 0)
    t += 7200
    for row in range(260):
        t += 60
        yield t, usual(t) + (40 if 100 <= row < 170 else 0) - (500 if row == 230 else 0)
    for row in range(240):
        t += 1800
        yield t, 50.0 if 120 <= row < 180 else 1e6 if row == 200 else usual(t)


def main():
    if sys.argv[1:2] == ["--check"]:
        with open(sys.argv[2], newline="") as file:
            rows = [[float(cell or "nan") for cell in row] for row in list(csv.reader(file))[1:]]
        worst = [0.0] * 3
        for row, found in zip(rows, recurrence((row[0], row[1]) for row in rows)):
            for at, (a, b) in enumerate(zip(row[2:], found)):
                worst[at] = max(worst[at], abs(a - b) / max(abs(a), 1e-300) if a != b else 0.0)
        print(f"{len(rows)} rows; greatest relative deviation of score, periods, size: {worst}")
        return
    rows = list(series())
    print("seconds,value,score,periods,size")
    for (t, x), figures in zip(rows, recurrence(rows)):
        print(",".join([str(t), repr(x), *(f"{figure:.12g}" for figure in figures)]))


main()
