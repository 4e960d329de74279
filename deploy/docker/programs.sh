#!/bin/sh
# Builds programs for an image, out of /src: programs.sh MESON-OPTION PROGRAM... They look for libraries that are no
# part of Debian in /usr/lib/gtvision.
set -eu
option=$1
shift
# The old kind of run path holds for the libraries' own libraries as well.
export PKG_CONFIG_PATH=/opt/ffmpeg/lib/pkgconfig
if [ -f build/build.ninja ]; then
    meson setup --reconfigure build "$option" > build.log
else
    meson setup build --buildtype=release -Dwerror=false -Dtests=false "$option" \
        -Dc_link_args='-Wl,--disable-new-dtags -Wl,-rpath,/usr/lib/gtvision -Wl,-rpath-link,/opt/ffmpeg/lib' > build.log
fi || { cat build.log >&2 && exit 1; }
for name in "$@"; do
    case $name in
        gtv-box) echo tools/box/gtv-box ;;
        *) echo "services/${name#gtv-}/$name" ;;
    esac
done | xargs ninja -C build
