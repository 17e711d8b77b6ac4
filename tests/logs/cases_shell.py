"""Completion in real shells: everything that the table of commands has, and what it says of each option."""

import os
import shutil
import subprocess

from report import check, equal
from stack import SRCDIR, builddir
from terminal import Terminal

BASH = """
. "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_sallyport
printf '%s\\n' "${COMPREPLY[@]}"
"""


def cli_path():
    return os.path.join(builddir(), "sallyport")


def bash(*words, cwd=None):
    run = subprocess.run(["bash", "-c", BASH, "bash", os.path.join(SRCDIR, "completions", "sallyport.bash"), cli_path()] + list(words),
                         capture_output=True, text=True, timeout=20, cwd=cwd)
    check(run.returncode == 0 and run.stderr == "", "bash: %s", run.stderr)
    return [word for word in run.stdout.split("\n") if word]


def commands():
    out = subprocess.run([cli_path(), "--help"], capture_output=True, text=True, timeout=20).stdout
    block = out.split("commands:\n")[1].split("\n\n")[0]
    return [row.split()[0] for row in block.splitlines()]


def case_table():
    """What is completed is what is accepted: every option of every command, by the program's own word."""
    all_options = set()
    for command in commands():
        for word in bash(command, "--"):
            all_options.add(word)
    check(len(commands()) >= 9 and len(all_options) >= 25, "%s %s", commands(), all_options)
    for command in commands():
        offered = set(bash(command, "--"))
        for option in sorted(all_options - {"--help"}):
            run = subprocess.run([cli_path(), "-c", "/nonexistent", command, option + "=1"], capture_output=True, text=True, timeout=20)
            if "doesn't allow an argument" in run.stderr:
                run = subprocess.run([cli_path(), "-c", "/nonexistent", command, option], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
            taken = "does not belong to" not in run.stderr and "unrecognized" not in run.stderr
            equal(option in offered, taken, "%s %s is offered" % (command, option))


def case_bash():
    equal(sorted(bash("")), sorted(commands() + ["help"]), "commands")
    equal(bash("ta"), ["tail"], "ta")
    equal(bash("help", "re"), ["reload", "report"], "help re")
    equal(bash("tail", "--color", "a"), ["auto", "always"], "values")
    equal(bash("tail", "--color", "=", "n"), ["never"], "values behind =")
    check("infected" in bash("tail", "--outcome", ""), "outcomes: %s", bash("tail", "--outcome", ""))
    equal(bash("tail", "--user", ""), [], "any word")
    equal(bash("scan", "pack", cwd=SRCDIR), ["packages.txt"], "files of scan")
    equal(bash("report", "--html", "pack", cwd=SRCDIR), ["packages.txt"], "files of --html")
    equal(bash("nonsense", "--x"), [], "a command that is none")
    equal(bash("metrics", "--listen", ""), ["127.0.0.1:9301", "[::1]:9301"], "--listen")
    equal(bash("metrics", "--token-file", "pack", cwd=SRCDIR), ["packages.txt"], "files of --token-file")
    for before in (["-c", "/etc/x"], ["--config", "/etc/x"], ["--config", "=", "/etc/x"], ["--config=/etc/x"]):
        equal(bash(*before, "ta"), ["tail"], "a command behind %s" % before)
        check("--blocked" in bash(*before, "tail", "--b"), "options of a command behind %s", before)


def case_zsh():
    """With the keys that a person presses, in a shell without anybody's settings."""
    folder = os.path.join(SRCDIR, "completions")
    # zsh refuses folders that others can write to or own; -u takes them, for this is the test's own.
    shell = Terminal(["zsh", "-f", "-i"], env={"PATH": builddir() + ":" + os.environ["PATH"], "PS1": "ready> ", "HOME": "/nonexistent"}, columns=200)
    try:
        shell.until(b"ready> ")
        shell.send(b"fpath=(%s $fpath); autoload -U compinit && compinit -u -D; unsetopt beep; cd %s; echo set''tled\n" % (folder.encode(), SRCDIR.encode()))
        shell.until(b"settled")
        for typed, want in ((b"sallyport ta\t", b"sallyport tail "), (b"sallyport tail --blo\t", b"sallyport tail --blocked "),
                            (b"sallyport tail --color al\t", b"sallyport tail --color always "), (b"sallyport tail --color=nev\t", b"--color=never "),
                            (b"sallyport report --outcome infe\t", b"--outcome infected "), (b"sallyport scan packag\t", b"scan packages.txt "),
                            (b"sallyport rel\t", b"sallyport reload "), (b"sallyport -c x ta\t", b"x tail "),
                            (b"sallyport metrics --listen 1\t", b"127.0.0.1:9301 ")):
            shell.seen = b""
            shell.send(typed)
            shell.until(want.split()[-1])
            shell.send(b"\x15")
    finally:
        shell.close()


def run(suite):
    suite.run("completion-table", case_table)
    suite.run("completion-bash", case_bash)
    if shutil.which("zsh"):
        suite.run("completion-zsh", case_zsh)
    elif not suite.list_only:
        print("skipped completion-zsh: there is no zsh")
