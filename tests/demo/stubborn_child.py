"""A child for tests: it starts a process in a group of its own, and does not end when it is asked to."""

import subprocess
import sys

from demo.children import Line

line = Line(on_end=lambda: None)
grandchild = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, process_group=0)
print("the grandchild runs", flush=True)
line.say(grandchild.pid)
grandchild.wait()
