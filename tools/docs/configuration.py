#!/usr/bin/env python3
"""Writes docs/configuration.md from the tables of the built programs (gtv-<program> --options-markdown). See ./gtv docs."""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "configuration.md"
PROGRAMS = ("streaming", "ai", "media", "console", "supervisor")
HEAD = """# Configuration

All that the programs can be told. This page is made from their own tables: `./gtv docs` writes it anew, `gtv-<program> --help` prints the same.

## Where a value comes from

In rising weight; the last one counts:

1. the default below;
2. the environment: `NAME=value` (an empty variable counts as none);
3. systemd's credentials: a file `name` or `NAME` in `$CREDENTIALS_DIRECTORY`, as `LoadCredential=redis_url:/etc/gtvision/secrets/redis_url` makes
   it (where both are there, the upper-case one counts);
4. `--config FILE`: lines of `NAME=value`, `#` begins a comment, quotes around a value are taken off; up to 64 KiB. One file may serve all
   programs: names of others are left alone, and what looks like a misspelt name of the program's own is warned of in its log. No file is
   read unless it is named;
5. the command line: `--name value` or `--name=value`; for switches `--name` and `--no-name`. A secret given there is overwritten in the process
   list, but the environment or a file is the place for it.

At 2, 4 and 5 `NAME_FILE=/path` (`--name-file /path`) takes the value from a file, without its last newline: Docker's and Kubernetes' secrets
are read so. Where both `NAME` and `NAME_FILE` stand in the same place the file counts, with a warning in the log. A file that
is missing, unreadable, empty or larger than 64 KiB stops the start.

The media node has its YAML file besides, which stands between 1 and 2: `MEDIA_CONFIG`, with MediaMTX's keys.

## Checking

`gtv-<program> --check-config` with the environment and flags of the real start says `the configuration is well-formed` and exits with 0, or
says in one sentence what is wrong, names the option and exits with 2. A start with such a configuration ends the same way. Exit status
1 means that the configuration is right, but cannot be had now: a port in use, a folder that cannot be written. What may come back by
itself (Redis, PostgreSQL, a media node) stops no program: it starts, and `/ready` answers 503 with the cause until it can work.

`gtv-<program> --options-json` prints the table for tools. HAProxy's part, the door, has a table of its own: `deploy/haproxy/door --help` and
[operations.md](operations.md#the-door).

## Reading it again

On SIGHUP (`systemctl reload`) a program reads credentials, the `--config` file and all `NAME_FILE`s again; the environment of a running process
cannot change. What is marked *live* below counts at once; the log names what changed and what waits for a restart. When
anything is wrong all stays as it was, and the log says why. The supervisor passes SIGHUP on to the programs that it runs; the
media node reads its YAML file again too (as it does by itself when the file changes).

"""


def find(build, name):
    found = sorted(p for p in Path(build).rglob(name) if p.is_file() and p.stat().st_mode & 0o100)
    if not found:
        sys.exit(f"{name} is not built in {build}")
    return found[0]


def page(build):
    """The whole page as the programs in this build folder have it."""
    chapters = []
    for program in PROGRAMS:
        done = subprocess.run([str(find(build, f"gtv-{program}")), "--options-markdown"], capture_output=True, text=True, check=True)
        chapters.append(done.stdout)
    return HEAD + "\n".join(chapters)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=ROOT / "build" / "release", help="folder of the built programs")
    PAGE.write_text(page(parser.parse_args().build))


if __name__ == "__main__":
    main()
