"""The files of the source, without what builds have left among them."""

import os
import shutil
import subprocess

from report import Failure
from stack import TOP


def tracked():
    """What belongs to the source, by git. None without git: the tree is a tarball's."""
    if not os.path.exists(os.path.join(TOP, ".git")):
        return None
    run = subprocess.run(["git", "-c", "safe.directory=" + TOP, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP,
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        raise Failure("git ls-files: %s" % run.stderr[-300:])
    return sorted(f for f in set(run.stdout.split("\0")) if f and os.path.exists(os.path.join(TOP, f)))


def copy(names, folder):
    for name in names:
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        shutil.copy2(os.path.join(TOP, name), os.path.join(folder, name), follow_symlinks=False)


def copy_any(folder):
    """By git, or without it all but the folders of builds."""
    names = tracked()
    if names is not None:
        copy(names, folder)
        return

    def left_out(path, entries):
        return [e for e in entries if e == "__pycache__" or (path == TOP and os.path.exists(os.path.join(path, e, "config.status")))]
    shutil.copytree(TOP, folder, symlinks=True, ignore=left_out, dirs_exist_ok=True)
