#!/usr/bin/env python3
"""The parts of man pages that say what tables in the source say: options of sallyport.conf, outcomes, categories.

    tests/docs/manual.py --write      writes them anew, after a change of a table

They stand between comments `BEGIN NAME` and `END NAME`; tests/docs/run compares them."""

import os
import re
import sys

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PLACES = {"SP_RUN_DIR": "/run/sallyport", "SP_SYSCONF_DIR": "/etc/sallyport", "SP_LOG_DIR": "/var/log/sallyport",
          "SP_SPOOL_DIR": "/var/spool/sallyport", "SP_DATABASE_DIR": "/var/lib/clamav"}
HEADINGS = {"": "GENERAL", "stop": "STOPPING", "log": "LOG", "spool": "SPOOL", "scan": "SCANNER", "cache": "CACHE", "decode": "CONTENT CODINGS",
            "ranges": "PARTS OF OBJECTS"}
SIZES = (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10))
TIMES = (("d", 86400000), ("h", 3600000), ("m", 60000), ("s", 1000))


def table(name):
    with open(os.path.join(TOP, "include", "sallyport", name), encoding="utf-8") as f:
        return f.read()


def with_unit(number, units, plain):
    for unit, factor in units:
        if number and number % factor == 0:
            return "%d%s" % (number // factor, unit)
    return plain % number


def size(text):
    return with_unit(int(text), SIZES, "%d")


def duration(text):
    return with_unit(int(text), TIMES, "%dms") if int(text) else "0s"


def roff(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("'", "\\(aq")


def sentences(text):
    """Each on a line of its own, as roff wants it."""
    lines = [roff(s) for s in re.split(r"(?<=[.:])\s+(?=[A-Z])", text)]
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in lines)


def arguments(rest):
    """The arguments of a row, split at commas outside of strings."""
    return [a.strip() for a in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', rest)]


def string(argument):
    for name, path in PLACES.items():
        argument = argument.replace(name, '"%s"' % path)
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', argument)).replace('\\"', '"')


def quoted(text):
    return "\\(dq%s\\(dq" % roff(text)


def kind_of(kind, args):
    if kind == "STRING":
        return "string, default " + quoted(string(args[0]))
    if kind == "LIST":
        items = [quoted(i) for i in string(args[0]).split("|") if i]
        return "list, default [ %s ]" % ", ".join(items) if items else "list, default [ ]"
    if kind == "BOOL":
        return "true or false, default " + args[0]
    if kind == "INT":
        return "number, default %s, %s to %s" % tuple(args[:3])
    if kind == "SIZE":
        return "size, default %s, %s to %s" % tuple(size(a) for a in args[:3])
    if kind == "TIME":
        return "time, default %s, %s to %s" % tuple(duration(a) for a in args[:3])
    if kind == "ENUM":
        words = string(args[1]).split("|")
        return "%s; default %s" % (" or ".join(quoted(w) for w in words), quoted(words[int(args[0])]))
    raise ValueError("conf_options.def has a kind of row that tests/docs/manual.py does not know: " + kind)


def option_names():
    names = re.findall(r'^SP_CONF_\w+\(\w+, "([^"]+)"', table("conf_options.def"), re.M)
    return names + ["outcomes." + n for n, _, changes, _ in outcomes() if changes == "true"] + ["categories." + n for n, _ in categories()]


def options():
    groups = {}
    for kind, key, rest in re.findall(r'^SP_CONF_(\w+)\(\w+, "([^"]+)", (.*)\)$', table("conf_options.def"), re.M):
        args = arguments(rest)
        text = '.TP\n.BR %s " (%s)"\n%s' % (roff(key), kind_of(kind, args), sentences(string(args[-1])))
        groups.setdefault(key.split(".")[0] if "." in key else "", []).append(text)
    return "\n".join(".SH %s\n%s" % (HEADINGS.get(g, g.upper()), "\n".join(rows)) for g, rows in groups.items())


def outcomes():
    return re.findall(r'^SP_OUTCOME_ROW\(\w+, "(\w+)", (\w+), (\w+), "([^"]*)"', table("outcome.def"), re.M)


def categories():
    return re.findall(r'^SP_CATEGORY_ROW\(\w+, "([\w-]+)", "([^"]*)"', table("category.def"), re.M)


def sentence(text):
    return roff(text[0].upper() + text[1:]) + "."


def outcome_list():
    return "\n".join(".TP\n.B %s\n%s" % (name, sentence(when)) for name, _, _, when in outcomes())


def outcome_options():
    return "\n".join('.TP\n.BR outcomes.%s " (default %s)"\n%s' % (name, quoted(action.lower()), sentence(when))
                     for name, action, changes, when in outcomes() if changes == "true")


def category_options():
    return "\n".join('.TP\n.BR categories.%s " (default %s)"\n%s' % (roff(name), quoted("default"), sentence(text))
                     for name, text in categories())


def category_list():
    return "\n".join(".TP\n.B %s\n%s" % (roff(name), sentence(text)) for name, text in categories())


PARTS = {"sallyport.conf.5": {"options": options, "outcomes": outcome_options, "categories": category_options},
         "sallyport-decisions.5": {"outcomes": outcome_list}, "sallyport-rules.5": {"categories": category_list}}


def renewed(page):
    """The page's text now, and as it should be."""
    with open(os.path.join(TOP, "man", page), encoding="utf-8") as f:
        text = f.read()
    new = text
    for name, make in PARTS[page].items():
        begin, end = '.\\" BEGIN %s\n' % name, '.\\" END %s\n' % name
        if new.count(begin) != 1 or new.count(end) != 1:
            raise ValueError("man/%s has no part between BEGIN %s and END %s" % (page, name, name))
        head, rest = new.split(begin)
        new = head + begin + make() + "\n" + end + rest.split(end)[1]
    return text, new


def main():
    if sys.argv[1:] != ["--write"]:
        print(__doc__)
        return 1
    for page in PARTS:
        _, new = renewed(page)
        with open(os.path.join(TOP, "man", page), "w", encoding="utf-8") as f:
            f.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
