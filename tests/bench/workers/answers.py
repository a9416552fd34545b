"""Application of all pools: a text classifier, and a table with the vectors of its rows.

Knows 82,000 glosses of WordNet. train() makes the files once; each process that calls answer()
loads them, as a service loads its model.
"""

# The packages are the benchmark's own, and not beside the type checker.
# mypy: ignore-errors

import os
import pickle
import sys
from functools import cache
from pathlib import Path

import numpy
import pandas
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier

NOUNS = Path("/usr/share/wordnet/data.noun")
FOLDER = Path(os.environ.get("KSMRUN_BENCH_MODEL", "."))
VECTOR_LENGTH = 64


def train() -> None:
    """Write table, vectors and model; wndb(5WN) describes the source."""
    rows = []
    for line in NOUNS.read_text("latin-1").splitlines():
        if not line.startswith(" "):
            left, _, gloss = line.partition(" | ")
            offset, topic, _, _, word, *_ = left.split()
            rows.append((int(offset), int(topic), word, gloss.strip()))
    table = pandas.DataFrame(rows, columns=["offset", "topic", "word", "gloss"])
    vectorizer = TfidfVectorizer(min_df=2, dtype=numpy.float32)
    features = vectorizer.fit_transform(table.gloss)
    vectors = TruncatedSVD(VECTOR_LENGTH, random_state=0)
    numpy.save(FOLDER / "vectors.npy", vectors.fit_transform(features).astype(numpy.float32))
    classifier = SGDClassifier(random_state=0).fit(features, table.topic)
    (FOLDER / "model.pickle").write_bytes(pickle.dumps((vectorizer, vectors, classifier)))
    table.to_csv(FOLDER / "table.csv", index=False)


@cache
def load():
    """Return the model, the table and its vectors."""
    model = pickle.loads((FOLDER / "model.pickle").read_bytes())
    return model, pandas.read_csv(FOLDER / "table.csv"), numpy.load(FOLDER / "vectors.npy")


def answer(number: int) -> str:
    """Return the topic of a gloss, the word nearest to it, and the process."""
    (vectorizer, reducer, classifier), table, vectors = load()
    text = table.gloss[number * 7919 % len(table)]
    features = vectorizer.transform([text])
    topic = classifier.predict(features)[0]
    near = numpy.argmax(vectors @ reducer.transform(features)[0].astype(numpy.float32))
    return f"{os.getpid()} {topic} {table.word[near]}"


if __name__ == "__main__":
    sys.exit(train())
