#!/bin/sh
# Puts the root file system of an image together: what is named, each program's shared libraries and nothing else.
#
#   root.sh FOLDER [PATH | PATH=TARGET]...
#
# A PATH is taken to the same place, PATH=TARGET to TARGET; folders whole. What Debian's packages brought comes with
# its licence.
set -eu
to=$1
shift
list=$(mktemp)

put() { # FILE TARGET
    mkdir -p "$to$(dirname "$2")"
    cp -a "$1" "$to$2"
}

# Where the loader looks for a library, without the /lib that is a link to /usr/lib.
real_place() { echo "$(realpath "$(dirname "$1")")/$(basename "$1")"; }

library() { # as it is asked for, and what that name leads to
    place=$(real_place "$1")
    target=$(realpath "$1")
    echo "$target" >> "$list"
    [ -e "$to$target" ] || put "$target" "$target"
    [ "$place" = "$target" ] || [ -e "$to$place" ] || {
        mkdir -p "$to$(dirname "$place")"
        ln -s "$(realpath --relative-to="$(dirname "$place")" "$target")" "$to$place"
    }
}

mkdir -p "$to/usr/lib" "$to/usr/lib64" "$to/usr/bin" "$to/usr/sbin" "$to/etc/ssl/certs" "$to/tmp" "$to/run" \
    "$to/proc" "$to/sys" "$to/dev" "$to/var/lib"
for name in lib lib64 bin sbin; do ln -s "usr/$name" "$to/$name"; done
chmod 1777 "$to/tmp"
printf 'root:x:0:0:root:/:/nonexistent\ngtvision:x:10001:10001:GT-Vision:/var/lib/gtvision:/nonexistent\n' > "$to/etc/passwd"
printf 'root:x:0:\ngtvision:x:10001:\n' > "$to/etc/group"
echo 'hosts: files dns' > "$to/etc/nsswitch.conf"
put /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
put /usr/share/zoneinfo /usr/share/zoneinfo
rm -rf "$to/usr/share/zoneinfo/right" "$to/usr/share/zoneinfo/posix"
echo /usr/share/zoneinfo/UTC >> "$list"

for item in "$@"; do
    from=${item%%=*}
    target=${item#*=}
    [ -e "$from" ] || { echo "root.sh: there is no $from" >&2 && exit 1; }
    if [ -d "$from" ]; then
        mkdir -p "$to$target"
        cp -a "$from/." "$to$target/"
        continue
    fi
    put "$(realpath "$from")" "$target"
    realpath "$from" >> "$list"
done
# The libraries of all programs and of all libraries that are loaded by name.
find "$to" -type f \( -perm /111 -o -name '*.so*' \) | while read -r file; do
    LD_LIBRARY_PATH=$to/usr/lib/gtvision ldd "$file" 2> /dev/null || true
done | awk '/=> \// { print $3 } /^[ \t]*\/[^ ]*ld-linux/ { print $1 }' | sort -u | while read -r file; do
    # What is no part of Debian stands in the image already, where the program looks after the builder's places.
    case $file in "$to"*) continue ;; esac
    [ -e "$to/usr/lib/gtvision/$(basename "$file")" ] || library "$file"
done
find "$to/usr/bin" -name 'gtv-*' -exec strip {} +

sort -u "$list" | while read -r file; do
    dpkg -S "$file" 2> /dev/null || dpkg -S "${file#/usr}" 2> /dev/null || true
done | cut -d : -f 1 | sort -u | while read -r package; do
    [ ! -e "/usr/share/doc/$package/copyright" ] || {
        mkdir -p "$to/usr/share/doc/$package"
        cp -L "/usr/share/doc/$package/copyright" "$to/usr/share/doc/$package/copyright"
    }
done
mkdir -p "$to/usr/share/common-licenses" "$to/usr/share/doc/gtvision"
cp -aL /usr/share/common-licenses/. "$to/usr/share/common-licenses/"
rm -f "$list"
