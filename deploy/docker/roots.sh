#!/bin/sh
# The roots of the images, /image/NAME for each NAME, and beside them the folders that containers write to.
set -eu
here=$(dirname "$0")
share=/usr/share/gtvision

built() { # NAME: its program, and what its routes hand out
    echo "/src/build/services/$1/gtv-$1=/usr/bin/gtv-$1"
    echo "/src/build/tools/box/gtv-box=/usr/bin/gtv-box"
    [ "$1" = media ] || echo "/src/api=$share/api"
    [ "$1" = media ] || for file in swagger-ui-bundle.js swagger-ui.css LICENSE NOTICE; do
        echo "/src/.deps/web/node_modules/swagger-ui-dist/$file=$share/swagger-ui/$file"
    done
}

ffmpeg() {
    for name in "$@"; do
        for file in /opt/ffmpeg/lib/lib"$name".so.*; do
            # Under the name that programs ask for.
            case $file in *.so.*.*) ;; *) echo "$file=/usr/lib/gtvision/$(basename "$file")" ;; esac
        done
    done
    for file in copyright source; do
        echo "/opt/ffmpeg/share/doc/ffmpeg-lgpl/$file=/usr/share/doc/ffmpeg-lgpl/$file"
    done
}

# shellcheck disable=SC2046 # no path of ours has a space
for name in "$@"; do
    case $name in
        streaming | console | media | ai) set -- $(built "$name") ;;
        *) set -- ;;
    esac
    case $name in
        console)
            for file in index.html style.css favicon.svg icons.svg js i18n; do
                set -- "$@" "/src/web/$file=$share/web/$file"
            done
            for file in dist/hls.min.js dist/hls.worker.js LICENSE; do
                set -- "$@" "/src/.deps/web/node_modules/hls.js/$file=$share/hls.js/$(basename $file)"
            done
            ;;
        media) set -- "$@" $(ffmpeg avcodec avformat avutil swresample swscale) ;;
        ai)
            set -- "$@" $(ffmpeg avcodec avformat avutil swresample swscale)
            libs=/src/.deps/openvino/openvino/libs
            for file in "$libs"/libopenvino.so.* "$libs"/libopenvino_c.so.* "$libs"/libopenvino_intel_cpu_plugin.so \
                "$libs"/libopenvino_ir_frontend.so.* "$libs"/libopenvino_onnx_frontend.so.* "$libs"/libtbb.so.*; do
                set -- "$@" "$file=/usr/lib/gtvision/$(basename "$file")"
            done
            [ ! -d /src/models ] || set -- "$@" "/src/models=$share/models"
            ;;
        haproxy)
            set -- /usr/sbin/haproxy /bin/sh /bin/cat /bin/grep /bin/ln /bin/mkdir /bin/mktemp /bin/rm /usr/bin/dirname \
                /usr/bin/tail /usr/bin/tr /usr/bin/basename "/src/deploy/haproxy=$share/haproxy" \
                /src/build/tools/box/gtv-box=/usr/bin/gtv-box
            ;;
        redis_cache)
            set -- /usr/bin/redis-check-rdb=/usr/bin/redis-server /usr/bin/redis-cli /src/build/tools/box/gtv-box=/usr/bin/gtv-box \
                /src/deploy/docker/redis.conf=/etc/redis.conf
            ;;
    esac
    rm -rf "/image/$name"
    "$here/root.sh" "/image/$name" "$@"
    [ ! -f /src/LICENSE ] || cp /src/LICENSE "/image/$name/usr/share/doc/gtvision/copyright"
    # A program that lacks a library would tell nobody before it is started.
    if find "/image/$name" -type f -perm /111 -path '*bin/*' -exec chroot "/image/$name" /lib64/ld-linux-x86-64.so.2 --list {} \; 2>&1 | grep 'not found'; then
        exit 1
    fi
done
# Folders that a volume is mounted on take its owner from here.
mkdir -p /image/run/secrets /image/cached/cache /image/own/models
for name in console crops media recordings redis spool; do mkdir -p "/image/data/$name"; done
