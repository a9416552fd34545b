"""Two domains race for the host's merging: never both merge, and each launch starts.

Runs in trusting.sh, as PID 1's child: domain_race.py KSMRUN FOLDER LAUNCHES. FOLDER has a program
for each domain, which says whether it merges, and ends when its stdin does. Prints one JSON object.

A program counts as merging from when it has said so until just before it is told to end: less than
it merges, so that two domains found at once did merge at once.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

DOMAINS = ("mail", "web")
RACERS = 2
HOLD_SECONDS = 0.02


class Race:
    """What has been seen. All is changed below the lock."""

    def __init__(self, ksmrun: str, folder: Path) -> None:
        self.ksmrun, self.folder = ksmrun, folder
        self.lock = threading.Lock()
        self.merging: Counter[str] = Counter()
        self.merged: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.wrong: list[str] = []

    def launch(self, domain: str) -> None:
        """Start a program in the domain, keep it for a moment, and end it."""
        words = [self.ksmrun, "run", "--domain", domain, "--", str(self.folder / domain)]
        pipe = subprocess.PIPE
        with subprocess.Popen(words, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            self.begin(domain, said)
            # The others' launches are to meet this one in all its stages.
            time.sleep(random.uniform(0, HOLD_SECONDS))
            with self.lock:
                self.merging[domain] -= said == "1\n"
            _, lines = process.communicate("")
        told = "".join(line for line in lines.splitlines() if "KSM is off" not in line)
        with self.lock:
            if process.returncode != 0 or said not in ("0\n", "1\n"):
                self.wrong.append(f"{domain} did not start: {process.returncode} {said!r} {told}")
            (other,) = set(DOMAINS) - {domain}
            if said == "0\n" and other not in told:
                self.wrong.append(f"{domain} is not told whom it lost to: {told}")
            if said == "1\n" and told:
                self.wrong.append(f"{domain} merges, and is told: {told}")

    def begin(self, domain: str, said: str) -> None:
        """Note that a program says whether it merges."""
        with self.lock:
            if said != "1\n":
                self.lost[domain] += 1
                return
            self.merged[domain] += 1
            self.merging[domain] += 1
            if len(+self.merging) > 1:
                self.wrong.append(f"both merge: {dict(self.merging)}")

    def run(self, domain: str, launches: int) -> None:
        """Launch one after the other."""
        for _ in range(launches):
            self.launch(domain)


def main() -> None:
    """Race, and print what was seen."""
    ksmrun, folder, launches = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    race = Race(ksmrun, folder)
    share = launches // (len(DOMAINS) * RACERS)
    threads = [
        threading.Thread(target=race.run, args=(domain, share))
        for domain in DOMAINS
        for _ in range(RACERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = {"merged": race.merged, "lost": race.lost, "wrong": race.wrong[:10]}
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
