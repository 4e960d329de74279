"""The Debian packages: the programs under test are packed, installed, upgraded, removed and purged by the real dpkg in a root of their own.

The root has the status of this machine's packages, so that dependencies are checked against what is really installed; maintainer scripts run outside of it
(dpkg's --force-script-chrootless), which needs no second Debian and leaves this one alone.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import BUILD, ROOT

UNITS = ROOT / "deploy" / "systemd"
PROGRAMS = ("streaming", "ai", "media", "console")
NEW, OLD = "0.1.0+git1000.new", "0.1.0+git999.old"
# systemd-analyze's exposure level, of 10; what an ordinary service has is 9.6.
EXPOSURE_MAX = {"gtv-streaming": 2.0, "gtv-ai": 2.0, "gtv-media": 2.0, "gtv-console": 2.0, "gtv-door": 2.3}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="dpkg gives files to their owners")


def pack(out, version, *only):
    run = subprocess.run(["/usr/bin/python3", ROOT / "tools/package/build.py", "--build", BUILD, "--out", out, "--version", version, "--fast",
                          *(["--only", ",".join(only)] if only else [])], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return {Path(line).name.split("_")[0]: line for line in run.stdout.split()}


class Machine:
    """A root with dpkg's files, its own users, and nothing else."""

    def __init__(self, root):
        self.root = root
        for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc", "var/log"):
            (root / folder).mkdir(parents=True)
        for name in ("passwd", "group", "login.defs"):
            shutil.copy(Path("/etc") / name, root / "etc" / name)
        status = Path("/var/lib/dpkg/status").read_text().split("\n\n")
        (root / "var/lib/dpkg/status").write_text("\n\n".join(p for p in status if not re.match(r"Package: (gtv-|gtvision)", p.lstrip())))

    def dpkg(self, *args, ok=True):
        run = subprocess.run(["dpkg", f"--root={self.root}", "--force-script-chrootless", "--force-unsafe-io", "--force-confdef", "--force-confold", "--log=/dev/null",
                              *args], capture_output=True, text=True, timeout=300, env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        assert (run.returncode == 0) == ok, run.stdout + run.stderr
        return run.stdout + run.stderr

    def __truediv__(self, path):
        return self.root / path

    def user(self):
        return [line for line in (self / "etc/passwd").read_text().splitlines() if line.startswith("gtvision:")]

    def installed(self):
        listed = subprocess.run(["dpkg-query", f"--admindir={self / 'var/lib/dpkg'}", "-W", "-f", "${Package} ${db:Status-Status} ${Version}\n"],
                                capture_output=True, text=True, check=True).stdout
        return dict((line.split()[0], tuple(line.split()[1:])) for line in listed.splitlines() if line.startswith(("gtv-", "gtvision")))


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("new"), NEW)


def options(name):
    table = json.loads(subprocess.run([BUILD / f"services/{name}/gtv-{name}", "--options-json"], capture_output=True, text=True, check=True, timeout=60,
                                      env={**os.environ, "TBB_ENABLE_SANITIZERS": "1"}).stdout)
    return {o["name"]: o for o in table["options"]}


def lines(unit, key):
    return re.findall(rf"(?m)^{key}=(.*)$", (UNITS / unit).read_text())


def test_install_upgrade_remove_purge(packages, tmp_path):
    machine = Machine(tmp_path / "root")
    old = pack(tmp_path / "old", OLD, "gtvision-common", "gtv-console")
    assert "gtvision-common" in machine.dpkg("-i", old["gtv-console"], ok=False), "a program needs what they share"
    machine.dpkg("--purge", "gtv-console")

    machine.dpkg("-i", *old.values())
    assert machine.installed() == {name: ("installed", OLD) for name in ("gtvision-common", "gtv-console")}
    assert len(machine.user()) == 1 and machine.user()[0].endswith(":/var/lib/gtvision:/usr/sbin/nologin")
    uid = int(machine.user()[0].split(":")[2])
    kept = machine / "var/lib/gtvision/console"
    assert (kept.stat().st_uid, kept.stat().st_mode & 0o777) == (uid, 0o750)
    config = machine / "etc/gtvision/gtvision.conf"
    assert config.stat().st_mode & 0o777 == 0o640
    config.write_text(config.read_text() + "LOG_LEVEL=WARNING\n")
    (kept / "console.db").write_text("data")

    machine.dpkg("-i", *packages.values())
    assert machine.installed() == {name: ("installed", NEW) for name in packages} and len(packages) == 6
    assert "LOG_LEVEL=WARNING" in config.read_text() and (kept / "console.db").read_text() == "data" and len(machine.user()) == 1
    for name in PROGRAMS:
        program = machine / f"usr/bin/gtv-{name}"
        run = subprocess.run([program, "--config", config, "--check-config"], capture_output=True, text=True, timeout=120,
                             env={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(machine / "usr/lib/gtvision"), "TBB_ENABLE_SANITIZERS": "1"})
        assert run.returncode == 0, run.stderr
    for item in ("usr/share/gtvision/web/index.html", "usr/share/gtvision/hls.js/hls.min.js", "usr/share/gtvision/api/streaming.json",
                 "usr/share/gtvision/haproxy/door", "usr/share/gtvision/models/fetch.py", "usr/bin/gtvision-models", "usr/share/doc/gtv-ai/copyright"):
        assert (machine / item).is_file(), item
    assert b"/work/" not in subprocess.run(["readelf", "-d", machine / "usr/bin/gtv-ai"], capture_output=True, check=True).stdout
    enabled = machine / "etc/systemd/system/multi-user.target.wants/gtvision.target"
    assert enabled.is_symlink() and (machine / "etc/systemd/system/gtvision.target.wants/gtv-streaming.socket").is_symlink()

    machine.dpkg("--remove", *packages)
    assert not (machine / "usr/bin/gtv-streaming").exists() and not (machine / "lib/systemd/system/gtv-streaming.service").exists()
    assert config.exists() and (kept / "console.db").exists(), "removing keeps what is the operator's"
    machine.dpkg("--purge", *packages)
    left = [str(p.relative_to(machine.root)) for p in machine.root.rglob("*") if "gtv" in p.name]
    assert left == [] and not machine.user() and not machine.installed()


def test_networks_are_searched_for_anew_by_who_asks_for_them(tmp_path):
    """What fetch.py would be called with: a search that failed is not believed, as whoever asks has installed what it lacked."""
    for name, does in (("python3", 'echo "$@ $GTV_MODELS_COMMAND"'), ("chown", ":")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    run = subprocess.run(["sh", ROOT / "tools/package/gtvision-models", "--openvino", "/mine"], capture_output=True, text=True, timeout=60,
                         env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert run.returncode == 0, run.stderr
    said = run.stdout.splitlines()[0].split()
    assert "--retry" in said and said[-3:] == ["--openvino", "/mine", "gtvision-models"], said


def test_versions_are_in_order():
    for smaller, greater in ((OLD, NEW), ("0.1.0", OLD), (NEW, "0.1.1")):
        subprocess.run(["dpkg", "--compare-versions", smaller, "lt", greater], check=True)


def test_dependencies_are_worked_out(packages):
    def field(name, key):
        return subprocess.run(["dpkg-deb", "-f", packages[name], key], capture_output=True, text=True, check=True).stdout
    assert {"libc6", "libuv1", "libhiredis0.14"} <= set(re.findall(r"[^\s,()]+", field("gtv-streaming", "Depends")))
    assert {"libavformat59", "libavcodec59"} <= set(re.findall(r"[^\s,()]+", field("gtv-media", "Depends")))
    assert {"haproxy", "redis-server", *(f"gtv-{n}" for n in PROGRAMS)} <= set(re.findall(r"[^\s,()]+", field("gtvision", "Depends")))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_unit_says_what_its_program_knows(name):
    unit, known = f"gtv-{name}.service", options(name)
    for setting in lines(unit, "Environment"):
        assert setting.partition("=")[0] in known, setting
    credentials = [c.partition(":")[0] for c in lines(unit, "LoadCredential")]
    assert sorted(credentials) == sorted(n for n, o in known.items() if o["secret"]), "each secret may come as a credential"
    ports = {int(o["default"]) for n, o in known.items() if n.endswith("_PORT") and str(o["default"]).isdigit()}
    sockets = [int(s.rpartition(":")[2]) for s in lines(f"gtv-{name}.socket", "ListenStream")]
    assert sockets and set(sockets) <= ports, (sockets, ports)
    assert lines(unit, "Type") == ["notify"] and lines(unit, "WatchdogSec") and int(lines(unit, "TimeoutStopSec")[0]) > 10


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path):
    for unit in UNITS.iterdir():
        # The programs are not installed here.
        (tmp_path / unit.name).write_text(re.sub(r"(?m)^(Exec\w+)=/\S+", r"\1=/bin/true", unit.read_text()))
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())], capture_output=True, text=True, timeout=60, check=False).stderr
    ours = [line for line in said.splitlines() if "gtv" in line]
    assert not ours, "\n".join(ours)
    for name, most in EXPOSURE_MAX.items():
        said = subprocess.run(["systemd-analyze", "security", "--offline=yes", UNITS / f"{name}.service"], capture_output=True, text=True, timeout=60,
                              check=False).stdout
        assert float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", said).group(1)) <= most, said
