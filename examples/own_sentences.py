"""Train a tagger on your own sentences, then tag a text.

python examples/own_sentences.py

It takes less than a minute on a CPU and leaves the model in runs/own-sentences.
"""

import json
import random
from pathlib import Path

import hybridner

TEMPLATES = (
    "{PER} moved to {LOC} last year .",
    "In {LOC} , {PER} met {PER} .",
    "{LOC} is older than {LOC} , says {PER} .",
)
NAMES = {
    "PER": ["Anna Tarkin", "Bero Lund", "Carla", "Dov Amsel", "Edda Ross", "Frido", "Greta Holm", "Hanno Vess"],
    "LOC": ["Dorst", "Velmora", "Upper Rill", "Kelm", "New Arden", "Tosk", "Brannow", "Lake Sorn"],
}


def labelled(template: str, rng: random.Random) -> dict[str, list[str]]:
    """Fill a template with names and return its words, and a BIO tag for each."""
    words, tags = [], []
    for part in template.split():
        kind = part.strip("{}")
        name = rng.choice(NAMES[kind]).split() if kind in NAMES else [part]
        words += name
        tags += [f"B-{kind}", *[f"I-{kind}"] * (len(name) - 1)] if kind in NAMES else ["O"]
    return {"words": words, "tags": tags}


def main() -> None:
    """Write the sentences to files, train on them, and use the model."""
    data = Path("runs/own-sentences-data")
    data.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    for split, size in (("train", 400), ("valid", 50), ("test", 50)):
        sentences = [labelled(rng.choice(TEMPLATES), rng) for _ in range(size)]
        (data / f"{split}.jsonl").write_text("".join(json.dumps(sentence) + "\n" for sentence in sentences))

    result = hybridner.train(data=str(data), preset="tiny", epochs=5, output=Path("runs/own-sentences"), overwrite=True)
    print(f"test F1 {result.test['f1']:.3f}, saved in {result.folder}")

    tagger = hybridner.load(result.folder)
    for entity in tagger.tag("Last year Greta Holm moved to Upper Rill."):
        print(f"{entity.label}  {entity.text}  characters {entity.start} to {entity.end}, score {entity.score:.3f}")


if __name__ == "__main__":
    main()
