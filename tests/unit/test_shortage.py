"""Without descriptors nothing is known of processes: nobody takes that for "they have ended"."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, resource, sys
from pathlib import Path
import psutil
from ksmrun.facts import daemons, ksmd, maps, process, select, stat
from ksmrun.facts.host import read_host
from ksmrun.facts.target import look_at
from ksmrun.host import attach_state, unmerge_safety
from ksmrun.attach import running, gradually
from ksmrun.observe import fleet, members, merging, other_mergers, predict, processes, sampler
from ksmrun.observe import scanning
from ksmrun.model.errors import KsmrunError
from ksmrun.model.status import Merging
host, target = read_host(), look_at(sys.executable.encode(), os.environ)
watch = processes.ProcessWatch()
sample = fleet.FleetSampler().complete((), "hold")
pids, list_folder = os.listdir("/proc"), os.listdir
# What lists them is done already: reading is what fails.
os.listdir = lambda path: pids if path == "/proc" else list_folder(path)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
for look in sys.argv[1:]:
    try:
        print(f"{look} found {eval(look)!r}")
    except KsmrunError as error:
        print(f"{look}: {error}")
    except OSError as error:
        if error.errno != 24:
            print(f"{look}: {error}")
"""
LOOKS = (
    *("watch.look(host)", "processes._has_ended(1)", "processes.read_process(1)"),
    *("maps.most_maps_in_use()", "maps.running_peak(target)", "maps.count_maps(Path('/proc/1'))"),
    *("other_mergers.others(())", "scanning.mergeable_memory(looks=False)", "ksmd.find_ksmd()"),
    *("fleet._with_costly(sample, [1])", "sampler.with_children([1])", "members.members([1])"),
    *("unmerge_safety._merged_pages()", "attach_state.is_running(1, 0)", "running.look(1)"),
    *("list(gradually._merging())", "predict._pss_anonymous_bytes([1])", "select.matching('x')"),
    *("stat.command_words(Path('/proc/1'))", "fleet._cheap([1], 'hold', 0.0)"),
    *("daemons.named('nobody')", "merging.look_at_merging(['a.service'])"),
    "merging._counted([(1, Merging(1, 'init', 0, None))])",
)


def test_it_is_said() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *LOOKS], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
