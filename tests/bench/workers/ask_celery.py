"""Give Celery's workers the tasks up to NUMBER, and print their answers."""

# mypy: ignore-errors

import sys

from tasks import ask

results = [ask.delay(number) for number in range(int(sys.argv[1]))]
print(*(result.get(timeout=300) for result in results), sep="\n")
