#!/usr/bin/env python3
"""Prints the live events of a camera, or of all (`*`), and misses none when the connection breaks. Needs nothing but Python.

    events.py --door http://127.0.0.1:8000 --types plate.read,alert '*'
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def follow(door, stream, types, since):
    """Yields events for ever; goes on after the last one that came, also through restarts of the service."""
    while True:
        query = {"types": types} if types else {}
        if since:
            query["since"] = since
        url = f"{door}/events/{urllib.parse.quote(stream, safe='*')}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=40) as answer:  # a comment comes every 15 s
                for line in answer:
                    if line.startswith(b"data:"):
                        event = json.loads(line[5:])
                        since = event.get("id") or since
                        yield event
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise SystemExit(f"{url}: {error.code} {error.read().decode()}") from error
        except OSError as error:
            print(f"the connection broke ({error}); again in a second", file=sys.stderr)
        time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--door", default="http://127.0.0.1:8000")
    parser.add_argument("--types", default="", help="status, detection, alert, ... with commas; all by default")
    parser.add_argument("--since", default="", help="the id of the last event that is known: later ones are sent first")
    parser.add_argument("--count", type=int, default=0, help="end after so many events")
    parser.add_argument("stream", help="cam_7, or *")
    options = parser.parse_args()
    for number, event in enumerate(follow(options.door, options.stream, options.types, options.since), 1):
        print(json.dumps(event, ensure_ascii=False), flush=True)
        if number == options.count:
            return


if __name__ == "__main__":
    main()
