#!/usr/bin/python3
"""Makes .deb packages of a build: what `./gtv package` runs.

    build.py --build build/release --out build/packages [--version V] [--only NAME,...] [--fast]

Six packages: gtvision-common (user, configuration, target), gtv-streaming, gtv-ai, gtv-media and gtv-console (a program with
its units and what it hands out), and gtvision, which brings them all, the door, HAProxy and Redis. Plain dpkg-deb; which
libraries a program needs dpkg-shlibdeps says. --fast neither strips nor compresses, and
leaves out what gtv-ai and its many libraries need.
"""

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
UNITS = ROOT / "deploy" / "systemd"
WEB = ROOT / ".deps" / "web" / "node_modules"
OPENVINO = ROOT / ".deps" / "openvino" / "openvino" / "libs"
# Of OpenVINO's libraries those that are loaded: the others are for other hardware and formats.
OPENVINO_PARTS = ("libopenvino.so.*", "libopenvino_c.so.*", "libopenvino_intel_cpu_plugin.so", "libopenvino_ir_frontend.so.*",
                  "libopenvino_onnx_frontend.so.*", "libtbb.so.*")
PRIVATE_LIBS = "/usr/lib/gtvision"
SHARE = "usr/share/gtvision"
MAINTAINER = "GT-Vision <gtvision@localhost>"

STATE = {"media": ["media"], "ai": ["models", "crops", "spool"], "console": ["console"], "streaming": []}
WHAT = {
    "streaming": ("HLS cache, provisioning and live events of GT-Vision",
                  "Provisions cameras in the media nodes, serves their video to many viewers from a cache, counts viewers, and pushes live\n"
                  "events over WebSocket and Server-Sent Events."),
    "ai": ("vehicle detection and plate reading of GT-Vision",
           "Finds vehicles and reads Brazilian plates in posted pictures, in queued jobs and in live cameras. Brings the parts of OpenVINO\n"
           "that it loads. The networks' weights are fetched by gtvision-models."),
    "media": ("media node of GT-Vision",
              "Pulls RTSP cameras, takes published streams, makes HLS, recordings and pictures of them, and speaks MediaMTX's control API."),
    "console": ("web page and management API of GT-Vision", "Users, cameras, stored detections, watch-lists, and the page itself."),
}


def run(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def git_version():
    """0.1.0+git1234.abcdef0: the number of commits makes a later one greater."""
    base = re.search(r"^\s*version: '([^']+)'", (ROOT / "meson.build").read_text(), re.M).group(1)
    try:
        count = run("git", "-C", ROOT, "rev-list", "--count", "HEAD", stderr=subprocess.DEVNULL).strip()
        commit = run("git", "-C", ROOT, "rev-parse", "--short=9", "HEAD", stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return base
    return f"{base}+git{count}.{commit}"


def program(build, name):
    for path in (build / "services" / name / f"gtv-{name}", build / f"gtv-{name}"):
        if path.is_file():
            return path
    sys.exit(f"gtv package: gtv-{name} is not in {build}: build it first")


def set_runpath(path, wanted):
    """Writes the folder of our private libraries over the build's, which is longer: the file keeps its form."""
    found = re.search(r"\(RUNPATH\).*\[(.*)\]", run("readelf", "-d", path, stderr=subprocess.DEVNULL))
    if not found:
        return
    old, new = found.group(1).encode(), wanted.encode()
    data = path.read_bytes()
    if len(new) > len(old) or data.count(old + b"\0") != 1:
        sys.exit(f"gtv package: {path.name} has a library path that cannot be replaced: {old.decode()}")
    path.write_bytes(data.replace(old + b"\0", new + b"\0" * (len(old) - len(new) + 1)))


class Package:
    def __init__(self, work, name, what, version, arch="any"):
        self.name, self.version, self.work = name, version, work
        self.root = work / name
        self.summary, self.text = what
        self.arch = run("dpkg", "--print-architecture").strip() if arch == "any" else arch
        self.depends, self.recommends, self.suggests, self.conffiles, self.elves, self.units = [], [], [], [], [], []
        self.before_start, self.at_purge, self.at_removal = "", "", ""
        (self.root / "DEBIAN").mkdir(parents=True)

    def put(self, source, target, mode=0o644):
        path = self.root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.chmod(mode)
        return path

    def put_text(self, text, target, mode=0o644):
        path = self.root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def put_folder(self, source, target, skip=()):
        for path in sorted(source.rglob("*")):
            if path.is_file() and path.suffix != ".pyc" and path.name not in skip:
                self.put(path, f"{target}/{path.relative_to(source)}", 0o755 if os.access(path, os.X_OK) else 0o644)

    def put_units(self, *names):
        for name in names:
            self.put(UNITS / name, f"lib/systemd/system/{name}")
        self.units += names

    def documents(self, licences):
        doc = f"usr/share/doc/{self.name}"
        self.put_text(licences, f"{doc}/copyright")
        entry = f"gtvision ({self.version}) stable; urgency=medium\n\n  * Built from this version of the sources.\n\n -- {MAINTAINER}  Thu, 01 Jan 1970 00:00:00 +0000\n"
        path = self.root / doc / "changelog.gz"
        path.write_bytes(gzip.compress(entry.encode(), 9, mtime=0))
        path.chmod(0o644)

    def script(self, name, body):
        common = re.sub(r"(?m)^#.*\n", "", (HERE / "maintainer.sh").read_text())
        self.put_text(f"#!/bin/sh\n{common}\n{body}\nexit 0\n", f"DEBIAN/{name}", 0o755)

    def scripts(self):
        units = " ".join(self.units)
        backwards = " ".join(reversed(self.units))
        start = f'    if [ -n "$2" ]; then units_on restart {units}; else units_on start {units}; fi\n' if units else ""
        self.script("postinst", f'if [ "$1" = configure ]; then\n{self.before_start}{start}fi')
        if units:
            self.script("prerm", f'if [ "$1" = remove ]; then\n    units_stop {backwards}\nfi')
        gone = f'case $1 in remove | purge) units_gone "$1" {units} ;; esac\n' if units else ""
        purge = f'if [ "$1" = purge ]; then\n{self.at_purge}fi' if self.at_purge else ""
        if gone or purge:
            self.script("postrm", gone + purge)

    def libraries(self, fast):
        """Debian's packages that the programs need, by dpkg-shlibdeps."""
        if not self.elves or (fast and len(self.elves) > 1):
            return []
        folder = self.work / f"{self.name}-shlibs"
        (folder / "debian").mkdir(parents=True)
        (folder / "debian" / "control").write_text("Source: gtvision\n\nPackage: gtvision\nArchitecture: any\n")
        text = run("dpkg-shlibdeps", "-O", "--ignore-missing-info", f"-l{self.root}{PRIVATE_LIBS}", *self.elves, cwd=folder, stderr=subprocess.DEVNULL)
        found = re.search(r"shlibs:Depends=(.*)", text)
        return [d.strip() for d in found.group(1).split(",")] if found else []

    def write(self, out, fast):
        for path in self.elves:
            if not fast:
                run("strip", "--strip-unneeded", "--remove-section=.comment", "--remove-section=.note", path)
        self.scripts()
        size = sum((p.lstat().st_size + 1023) // 1024 for p in self.root.rglob("*") if p.is_file() and "DEBIAN" not in p.parts)
        text = "\n".join(" " + (line or ".") for line in self.text.splitlines())
        fields = [("Package", self.name), ("Version", self.version), ("Architecture", self.arch), ("Maintainer", MAINTAINER), ("Installed-Size", size),
                  ("Depends", ", ".join(self.depends + self.libraries(fast))), ("Recommends", ", ".join(self.recommends)), ("Suggests", ", ".join(self.suggests)), ("Section", "video"), ("Priority", "optional"),
                  ("Description", f"{self.summary}\n{text}")]
        (self.root / "DEBIAN" / "control").write_text("".join(f"{k}: {v}\n" for k, v in fields if v != ""))
        if self.conffiles:
            (self.root / "DEBIAN" / "conffiles").write_text("".join(f"/{c}\n" for c in self.conffiles))
        sums = [f"{run('md5sum', p).split()[0]}  {p.relative_to(self.root)}\n" for p in sorted(self.root.rglob("*"))
                if p.is_file() and "DEBIAN" not in p.relative_to(self.root).parts] if not fast else []
        if sums:
            (self.root / "DEBIAN" / "md5sums").write_text("".join(sums))
        for path in self.root.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        file = out / f"{self.name}_{self.version}_{self.arch}.deb"
        run("dpkg-deb", "--root-owner-group", *(["-Znone"] if fast else ["-Zxz", "-z3"]), "--build", self.root, file)
        return file


def copyright_text(name):
    licence = (ROOT / "LICENSE").read_text().splitlines()
    text = ("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: GT-Vision\n\nFiles: *\nCopyright: GT-Vision's authors\n"
            "License: Apache-2.0\n On Debian systems the text of this licence is in /usr/share/common-licenses/Apache-2.0.\n")
    if name in ("gtv-ai", "gtv-media"):
        text += ("Comment:\n The program is linked with Debian's FFmpeg, which is built under the GNU General Public License, version 2 or later:\n"
                 " this binary as a whole is under that licence (/usr/share/common-licenses/GPL-3).\n")
    if name == "gtv-ai":
        text += f"\nFiles: {PRIVATE_LIBS}/*\nCopyright: Intel Corporation\nLicense: Apache-2.0\n"
    if name == "gtv-console":
        text += (f"\nFiles: /{SHARE}/hls.js/* /{SHARE}/swagger-ui/*\nCopyright: the authors of hls.js and of Swagger UI; their LICENSE files lie beside them\n"
                 "License: Apache-2.0\n")
    assert "Apache" in " ".join(licence[:5])
    return text


def common_package(work, version):
    p = Package(work, "gtvision-common", ("user, configuration and documents of GT-Vision", "What the programs of GT-Vision share on one machine."), version, "all")
    p.depends = ["passwd", "init-system-helpers"]
    p.put(HERE / "gtvision.conf", "etc/gtvision/gtvision.conf", 0o640)
    p.conffiles = ["etc/gtvision/gtvision.conf"]
    for name in ("install.md", "operations.md", "configuration.md", "troubleshooting.md", "licences.md"):
        p.put(ROOT / "docs" / name, f"usr/share/doc/gtvision-common/{name}")
    p.put_units("gtvision.target")
    p.before_start = ('    make_user\n    make_folders .\n'
                      '    # It may hold secrets; an operator who wants it otherwise says so with dpkg-statoverride.\n'
                      '    if [ -z "$R" ] && ! dpkg-statoverride --list /etc/gtvision/gtvision.conf > /dev/null; then\n'
                      '        chown root:gtvision /etc/gtvision/gtvision.conf\n        chmod 0640 /etc/gtvision/gtvision.conf\n    fi\n')
    p.at_purge = ('    rm -rf "$R/etc/gtvision" "${STATE:?}"\n'
                  '    if grep -q "^gtvision:" "$R/etc/passwd"; then userdel --prefix "$R/" gtvision 2> /dev/null || true; fi\n'
                  '    if grep -q "^gtvision:" "$R/etc/group"; then groupdel --prefix "$R/" gtvision 2> /dev/null || true; fi\n')
    return p


def service_package(work, build, name, version):
    p = Package(work, f"gtv-{name}", WHAT[name], version)
    p.depends = [f"gtvision-common (= {version})"]
    path = p.put(program(build, name), f"usr/bin/gtv-{name}", 0o755)
    p.elves.append(path)
    p.put_units(f"gtv-{name}.socket", f"gtv-{name}.service")
    if name != "media":
        p.put(ROOT / "api" / f"{name}.json", f"{SHARE}/api/{name}.json")
    if STATE[name]:
        folders = " ".join(STATE[name])
        p.before_start = f"    make_folders {folders}\n"
        p.at_purge = f"    remove_folders {folders}\n"
    if name == "ai":
        set_runpath(path, PRIVATE_LIBS)
        for pattern in OPENVINO_PARTS:
            for library in sorted(OPENVINO.glob(pattern)):
                p.elves.append(p.put(library, f"{PRIVATE_LIBS[1:]}/{library.name}"))
        for tool in sorted((ROOT / "tools" / "models").glob("*")):
            if tool.suffix in (".py", ".json") and tool.name not in ("measure.py", "quantise.py"):
                p.put(tool, f"{SHARE}/models/{tool.name}", 0o755 if tool.name == "fetch.py" else 0o644)
        p.put(HERE / "gtvision-models", "usr/bin/gtvision-models", 0o755)
        p.recommends = ["python3"]
        p.suggests = ["npm", "python3-numpy"]
    if name == "console":
        for item in ("index.html", "style.css", "favicon.svg", "icons.svg"):
            p.put(ROOT / "web" / item, f"{SHARE}/web/{item}")
        for folder in ("js", "i18n"):
            p.put_folder(ROOT / "web" / folder, f"{SHARE}/web/{folder}")
        for item in ("dist/hls.min.js", "dist/hls.worker.js", "LICENSE"):
            p.put(WEB / "hls.js" / item, f"{SHARE}/hls.js/{Path(item).name}")
        for item in ("swagger-ui-bundle.js", "swagger-ui.css", "LICENSE", "NOTICE"):
            p.put(WEB / "swagger-ui-dist" / item, f"{SHARE}/swagger-ui/{item}")
    return p


def house_package(work, version):
    p = Package(work, "gtvision", ("video management with analysis, all of it on one machine",
                                   "The four programs of GT-Vision behind HAProxy, with Redis: cameras, live video, recordings, vehicles and plates."), version, "all")
    p.depends = [f"gtvision-common (= {version})"] + [f"gtv-{n} (= {version})" for n in ("streaming", "ai", "media", "console")]
    p.depends += ["haproxy (>= 2.6)", "redis-server (>= 5:7.0)"]
    p.put_folder(ROOT / "deploy" / "haproxy", f"{SHARE}/haproxy")
    p.put_units("gtv-door.service")
    return p


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", default=None)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--only", default="", help="comma list of packages")
    o = parser.parse_args()
    version = o.version or git_version()
    o.out.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="gtv-package-", dir=o.out) as folder:
        work = Path(folder)
        makers = {"gtvision-common": lambda: common_package(work, version)}
        for name in WHAT:
            makers[f"gtv-{name}"] = lambda name=name: service_package(work, o.build, name, version)
        makers["gtvision"] = lambda: house_package(work, version)
        only = o.only.split(",") if o.only else list(makers)
        if not set(only) <= set(makers):
            parser.error(f"--only takes {', '.join(makers)}")
        for name in only:
            p = makers[name]()
            p.documents(copyright_text(p.name))
            print(p.write(o.out, o.fast), flush=True)


if __name__ == "__main__":
    main()
