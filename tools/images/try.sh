#!/usr/bin/env bash
# Builds the stages of our Dockerfile without Docker: each is an overlay over its parent, its RUN steps happen in a
# chroot of it. Understands what our Dockerfile uses and refuses the rest. Root, by hand: docs/install.md says when.
#
#   tools/images/try.sh [--work DIR] [STAGE...]      without a STAGE: the images
#
# DIR/STAGE/root is the finished root file system of an image, DIR/STAGE/meta what its containers run. A stage whose
# steps and inputs are as before is not built again, as in Docker; what a stage cost is told. "FROM debian:..." is a
# root made by debootstrap, once.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
WORK=/var/tmp/gtv-images
FILE=$ROOT/deploy/docker/Dockerfile
declare -A PARENT=() STEPS=() ARGS=()
ORDER=()

die() {
    printf 'images: %s\n' "$*" >&2
    exit 1
}

# The base as the official slim image has it: a minimal Debian and its sources of packages.
make_base() {
    local base=$WORK/debian/root sources=/etc/apt/sources.list.d/debian.sources
    [ -f "$WORK/debian/key" ] && return 0
    command -v debootstrap > /dev/null || die "the base root needs debootstrap"
    mkdir -p "$WORK/debian"
    debootstrap --variant=minbase bookworm "$base" "$(awk '/^URIs:/ { print $2; exit }' $sources)" > "$WORK/debian/log" ||
        die "debootstrap failed: see $WORK/debian/log"
    install -m 644 $sources "$base$sources"
    rm -f "$base/etc/apt/sources.list"
    # So are packages unpacked there: without waiting for the disk, and without manuals.
    printf 'force-unsafe-io\n' > "$base/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"
    printf 'path-exclude /usr/share/%s/*\n' doc info lintian/overrides locale man > "$base/etc/dpkg/dpkg.cfg.d/docker"
    printf 'path-include /usr/share/doc/*/copyright\n' >> "$base/etc/dpkg/dpkg.cfg.d/docker"
    rm -rf "$base/var/lib/apt/lists"/* "$base/var/cache/apt/archives"/*.deb
    printf base > "$WORK/debian/key"
}

# Reads the Dockerfile: continuation lines joined, comments gone, ARG of the head filled in.
read_file() {
    local line name words
    while IFS= read -r line; do
        for words in "${!ARGS[@]}"; do line=${line//\$\{$words\}/${ARGS[$words]}}; done
        case $line in
            'ARG '*=*) line=${line#ARG } && ARGS[${line%%=*}]=${line#*=} ;;
            'FROM '*)
                read -r -a words <<< "$line"
                name=${words[3]}
                PARENT[$name]=${words[1]} STEPS[$name]=
                ORDER+=("$name")
                ;;
            *) STEPS[$name]+=$line$'\n' ;;
        esac
    done < <(awk '/^[ \t]*#/ { next } { line = line $0 } /\\$/ { sub(/\\$/, "", line); next }
                  line ~ /[^ \t]/ { print line } { line = "" }' "$FILE")
}

# root STAGE: its file system, put together if it is not yet.
root() {
    local dir=$WORK/$1
    if [ "$1" != debian ] && [ -f "$dir/lower" ] && ! mountpoint -q "$dir/root"; then
        mkdir -p "$dir/upper" "$dir/work" "$dir/root"
        mount -t overlay overlay -o "lowerdir=$(cat "$dir/lower"),upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
    fi
}

# The words of a COPY step into FROM, CHOWN, SOURCES and DEST.
parse_copy() {
    local words
    read -r -a words <<< "$1"
    FROM='' CHOWN=''
    while [[ ${words[0]} == --* ]]; do
        case ${words[0]} in
            --from=*) FROM=${words[0]#--from=} ;;
            --chown=*) CHOWN=${words[0]#--chown=} ;;
            *) die "COPY ${words[0]} is not understood" ;;
        esac
        words=("${words[@]:1}")
    done
    DEST=${words[-1]}
    SOURCES=("${words[@]:0:${#words[@]}-1}")
}

copy() {
    local stage=$1 from=$ROOT source dest
    parse_copy "$2"
    [ -z "$FROM" ] || { root "$FROM" && from=$WORK/$FROM/root; }
    case $DEST in
        /*) dest=$WORK/$stage/root$DEST ;;
        *) dest=$WORK/$stage/root$(cat "$WORK/$stage/workdir")/$DEST ;;
    esac
    for source in "${SOURCES[@]}"; do
        [ -e "$from/$source" ] || die "COPY: there is no $source in $from"
        if [ -d "$from/$source" ]; then
            mkdir -p "$dest"
            tar -C "$from/$source" --owner=0 --group=0 --exclude=__pycache__ -cf - . | tar -C "$dest" -xpf -
        else
            [[ $dest != */ ]] || mkdir -p "$dest"
            mkdir -p "$(dirname "$dest")"
            cp -a --no-preserve=ownership "$from/$source" "$dest"
        fi
    done
    [ -z "$CHOWN" ] || chown -R "$CHOWN" "$dest"
}

run() {
    local stage=$1 dir=$WORK/$1/root status=0 what
    mkdir -p "$dir/proc" "$dir/dev"
    mount -t proc proc "$dir/proc"
    # Devices of its own: nothing that a step does to them reaches this machine's.
    mount -t tmpfs -o mode=755 tmpfs "$dir/dev"
    for what in 'null 3' 'zero 5' 'full 7' 'random 8' 'urandom 9'; do
        mknod -m 666 "$dir/dev/${what% *}" c 1 "${what#* }"
    done
    ln -s /proc/self/fd "$dir/dev/fd"
    cp /etc/resolv.conf "$dir/etc/resolv.conf"
    # Nothing of this machine's environment but the authorities that it trusts, which its registries may need.
    cp /etc/ssl/certs/ca-certificates.crt "$dir/run/authorities.crt"
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root PIP_CERT=/run/authorities.crt \
        NODE_EXTRA_CA_CERTS=/run/authorities.crt SSL_CERT_FILE=/run/authorities.crt \
        chroot "$dir" /bin/sh -c "$(cat "$WORK/$stage/env")cd '$(cat "$WORK/$stage/workdir")' && $2" \
        >> "$WORK/$stage/log" 2>&1 || status=$?
    umount "$dir/dev" "$dir/proc"
    [ $status -eq 0 ] || {
        tail -n 25 "$WORK/$stage/log" >&2
        die "$stage: this step failed: ${2:0:200}"
    }
}

# What a COPY step depends on.
inputs() {
    parse_copy "$1"
    if [ -n "$FROM" ]; then
        cat "$WORK/$FROM/key"
    else
        (cd "$ROOT" && find "${SOURCES[@]}" -type f -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 -r sha256sum)
    fi
}

step() {
    local stage=$1 verb=${2%% *} rest=${2#* }
    case $verb in
        RUN) run "$stage" "$rest" ;;
        COPY) copy "$stage" "$rest" ;;
        WORKDIR) mkdir -p "$WORK/$stage/root$rest" && printf '%s' "$rest" > "$WORK/$stage/workdir" ;;
        ENV) printf 'export %s; ' "$rest" >> "$WORK/$stage/env" ;;
        USER | ENTRYPOINT | CMD | HEALTHCHECK | EXPOSE | LABEL | STOPSIGNAL) printf '%s\n' "$2" >> "$WORK/$stage/meta" ;;
        *) die "the step $verb is not understood" ;;
    esac
}

since() { echo "$(date +%s.%N) - $1" | bc; }

# Seconds of CPU that all finished children took: what a machine with nothing else to do would need at most.
cpu() { awk 'NR == 2 { split($1, u, /[ms]/); split($2, s, /[ms]/); printf "%.2f", (u[1] + s[1]) * 60 + u[2] + s[2] }'; }

# build STAGE: it and, before it, what it is made of.
build() {
    local stage=$1 parent=${PARENT[$1]:-} line key begun at used dir=$WORK/$1
    [ -n "$parent" ] || die "there is no stage $stage: ${ORDER[*]}"
    [[ $parent != debian:* ]] || parent=debian
    [ "$parent" = scratch ] || [ "$parent" = debian ] || build "$parent"
    while IFS= read -r line; do
        [ "${line%% *}" != COPY ] || { parse_copy "${line#* }" && { [ -z "$FROM" ] || build "$FROM"; }; }
    done <<< "${STEPS[$stage]}"
    [ -z "${BUILT[$stage]:-}" ] || return 0
    key=$({
        [ "$parent" = scratch ] || cat "$WORK/$parent/key"
        printf '%s' "${STEPS[$stage]}"
        while IFS= read -r line; do [ "${line%% *}" != COPY ] || inputs "${line#* }"; done <<< "${STEPS[$stage]}"
    } | sha256sum | cut -c 1-20)
    BUILT[$stage]=1
    if [ -f "$dir/key" ] && [ "$(cat "$dir/key")" = "$key" ]; then
        printf '%-10s          as before\n' "$stage"
        return 0
    fi
    begun=$(date +%s.%N)
    ! mountpoint -q "$dir/root" || umount "$dir/root"
    ! grep -q " $dir/" /proc/mounts || die "something is mounted below $dir"
    rm -rf --one-file-system "$dir"
    mkdir -p "$dir/root"
    touch "$dir/env" "$dir/meta" "$dir/log"
    printf / > "$dir/workdir"
    if [ "$parent" = debian ]; then
        printf '%s' "$WORK/debian/root" > "$dir/lower"
    elif [ "$parent" != scratch ]; then
        printf '%s:%s' "$WORK/$parent/upper" "$(cat "$WORK/$parent/lower")" > "$dir/lower"
        cp "$WORK/$parent/env" "$WORK/$parent/workdir" "$dir/"
    fi
    root "$stage"
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        at=$(date +%s.%N)
        times > "$dir/cpu" && used=$(cpu < "$dir/cpu")
        step "$stage" "$line"
        times > "$dir/cpu"
        printf '%-10s %6.1f s %6.1f s of CPU  %s\n' "$stage" "$(since "$at")" "$(echo "$(cpu < "$dir/cpu") - $used" | bc)" \
            "$(tr -s ' ' <<< "$line" | cut -c 1-90)"
    done <<< "${STEPS[$stage]}"
    printf '%s' "$key" > "$dir/key"
    printf '%-10s %6.1f s in all\n' "$stage" "$(since "$begun")"
}
declare -A BUILT=()

# As BuildKit does: beside FFmpeg, which computes, what waits for the network.
side_by_side() {
    local stage first second failed=
    build tools
    (build ffmpeg) &
    first=$!
    (for stage in "$@"; do build "$stage"; done) &
    second=$!
    wait "$first" || failed=1
    wait "$second" || failed=1
    [ -z "$failed" ] || die "not all was built"
    for stage in ffmpeg "$@"; do BUILT[$stage]=1; done
}

# Bytes of an image's whole root file system, as files take them.
size_of() { du -sx --apparent-size -B 100000 "$WORK/$1/root" | awk '{ printf "%.1f MB", $1 / 10 }'; }

[ "$(id -u)" -eq 0 ] || die "needs root, for chroot and mounts"
# Mounts of its own, which end with it.
[ "${GTV_IMAGES_INSIDE:-}" = 1 ] || GTV_IMAGES_INSIDE=1 exec unshare --mount --propagation private "$0" "$@"
[ "${1:-}" != --work ] || { WORK=$2 && shift 2; }
mkdir -p "$WORK"
make_base
read_file
if [ $# -eq 0 ]; then
    for name in "${ORDER[@]}"; do [ "${PARENT[$name]}" != scratch ] || set -- "$@" "$name"; done
fi
start=$(date +%s.%N)
case " $* " in
    *' ai '*) side_by_side page models ;;
    *' streaming '* | *' media '* | *' console '*) side_by_side page ;;
esac
for name in "$@"; do build "$name"; done
printf '\nbuilt in %.0f s\n' "$(since "$start")"
for name in "$@"; do
    [ "${PARENT[$name]}" != scratch ] || printf '%-10s %s\n' "$name" "$(size_of "$name")"
done
