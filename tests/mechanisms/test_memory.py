"""Keeping freed memory: tried in a process of its own, for it cannot be undone."""

import subprocess
import sys

PROGRAM = """
import resource, sys
import torch
from crystalcli.mechanisms.memory import keep_freed_memory
if "keep" in sys.argv:
    sys.exit(3) if not keep_freed_memory() else None
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    torch.ones(2**24).sum()
before = faults()
for _ in range(5):
    torch.ones(2**24).sum()
print(faults() - before)
"""


def page_faults(*words: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else -1


def test_the_system_is_asked_for_memory_once():
    kept = page_faults("keep")
    assert kept < page_faults() / 10 or (kept == -1 and sys.platform != "linux")
