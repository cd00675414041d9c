"""Expected accuracy, precision and recall from the rows behind histograms of calibrated scores.

Writes rows.json beside this file: for each distribution of scores the figures that confidence-based
performance estimation gives on the rows themselves (the mean of the probability of being right), and
the cumulative buckets of the same rows. The estimate from the buckets must come near the figures.

    python3 rows.py
"""

import json
import random
from pathlib import Path

ROWS = 100_000
SEED = 20

# Beta distributions, as calibrated classifiers give them, and mixtures that are none.
DISTRIBUTIONS = {
    "easy": [(1.0, 0.4, 0.4)],
    "hard": [(1.0, 1.5, 1.5)],
    "uniform": [(1.0, 1.0, 1.0)],
    "rare": [(1.0, 0.5, 4.0)],
    "very_rare": [(1.0, 0.2, 8.0)],
    "common": [(1.0, 8.0, 1.0)],
    "skewed": [(1.0, 2.0, 5.0)],
    "narrow": [(1.0, 20.0, 30.0)],
    "two_groups": [(0.7, 2.0, 12.0), (0.3, 9.0, 3.0)],
    "mostly_sure": [(0.8, 0.5, 6.0), (0.2, 6.0, 0.5)],
}


def draw(rng, parts):
    weights = [weight for weight, _, _ in parts]
    chosen = rng.choices(parts, weights, k=ROWS)
    return [rng.betavariate(a, b) for _, a, b in chosen]


def figures(scores, threshold):
    positive = [p for p in scores if p >= threshold]
    right = [p if p >= threshold else 1 - p for p in scores]
    mean = sum(right) / len(right)
    spread = (sum((one - mean) ** 2 for one in right) / len(right)) ** 0.5
    return {
        "accuracy": mean,
        "accuracy_error": spread / len(right) ** 0.5,
        "precision": sum(positive) / len(positive) if positive else None,
        "recall": sum(positive) / sum(scores),
    }


def buckets(scores, count):
    bounds = [n / count for n in range(1, count)]
    cumulative = {f"{bound:g}": sum(p <= bound for p in scores) for bound in bounds}
    return {**cumulative, "+Inf": len(scores)}


def main():
    rng = random.Random(SEED)
    cases = []
    for name, parts in DISTRIBUTIONS.items():
        scores = draw(rng, parts)
        threshold = 0.3 if name == "skewed" else 0.5
        cases.append(
            {
                "name": name,
                "threshold": threshold,
                "figures": figures(scores, threshold),
                "buckets": {str(count): buckets(scores, count) for count in (5, 10, 20)},
            }
        )
    path = Path(__file__).with_name("rows.json")
    path.write_text(json.dumps({"rows": ROWS, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
