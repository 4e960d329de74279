"""A real PostgreSQL server of a test's own on a loopback port, in a temporary folder."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest

from conftest import free_port, wait_until

PASSWORD = "p4ss:w@rd/77"


def binaries():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]) if p.parts[-3].isdigit() else 0)
    if not found:
        pytest.fail("PostgreSQL's server is not installed: run ./gtv setup")
    return found[-1].parent


class Postgres:
    """The server refuses root: it runs as `postgres`, or `nobody`, where the tests are root."""

    def __init__(self):
        self.bin, self.port, self.popen, self.count = binaries(), free_port(), None, 0
        self.folder = Path(tempfile.mkdtemp(prefix="gtv-postgres-"))
        self.identity = {}
        if os.geteuid() == 0:
            user = next(pwd.getpwnam(n) for n in ("postgres", "nobody") if any(p.pw_name == n for p in pwd.getpwall()))
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        secret = self.folder / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o644)  # in a folder that is its owner's alone
        subprocess.run([self.bin / "initdb", "-D", self.folder / "data", "-U", "gtv", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8",
                        "--locale", "C.UTF-8", "--no-sync", "--no-instructions"], check=True, stdout=subprocess.DEVNULL, cwd=self.folder, timeout=120, **self.identity)
        self.start()

    def start(self):
        with open(self.folder.with_suffix(".log"), "ab") as log:
            self.popen = subprocess.Popen(
                [self.bin / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                 "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB"],
                stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **self.identity)
        wait_until(lambda: self.sql("SELECT 1", check=False).returncode == 0, 60, what="PostgreSQL answers")

    def sql(self, text, database="postgres", check=True):
        return subprocess.run([self.bin / "psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "gtv", "-d", database,
                               "-c", text], env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=check, timeout=60)

    def session(self, database):
        """A psql that takes statements on its standard input."""
        return subprocess.Popen([self.bin / "psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "gtv", "-d", database],
                                env={**os.environ, "PGPASSWORD": PASSWORD}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def url(self, database, password=PASSWORD, scheme="postgresql", user="gtv"):
        """password None: without one."""
        secret = "" if password is None else ":" + quote(password, safe="")
        return f"{scheme}://{user}{secret}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def new_database(self, more=""):
        self.count += 1
        self.sql(f"CREATE DATABASE gtv{self.count} {more}")
        return f"gtv{self.count}"

    def stop(self, sig=signal.SIGINT):
        """SIGINT: in order, with all links cut. SIGQUIT: as a crash."""
        if self.popen and self.popen.poll() is None:
            self.popen.send_signal(sig)
            self.popen.wait(60)

    def remove(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_suffix(".log").unlink(missing_ok=True)
