#!/bin/sh
# Builds the parts of Debian's own FFmpeg source that the programs use, as shared libraries under the LGPL 2.1: no
# part that is under the GPL, none that is not loaded. Into PREFIX ($1). Runs in the image's build as root.
set -eu
prefix=$1

# Debian's source package, its signatures and sums checked by apt; the list of sources alone.
sed -i 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources
apt-get update -q
work=$(mktemp -d)
cd "$work"
apt-get source -q --download-only ffmpeg
tar xf ffmpeg_*.orig.tar.xz --strip-components=1
tar xf ffmpeg_*.debian.tar.xz
while read -r name _; do
    case $name in '' | '#'*) continue ;; esac
    patch -s -p1 < "debian/patches/$name"
done < debian/patches/series

# What a camera may speak (services/media/dial.c), what it may carry (services/media/pull.c, dub.c, transcode.c), and
# what is decoded to be looked at (services/media/snapshot, services/ai/watch).
./configure --prefix="$prefix" --enable-shared --disable-static --disable-programs --disable-doc --disable-debug --optflags=-O2 \
    --disable-autodetect --disable-everything --disable-avdevice --disable-avfilter \
    --enable-pthreads --enable-zlib --enable-openssl --enable-libsrt \
    --enable-protocol=crypto,http,https,rtmp,rtmps,rtp,srtp,tcp,tls,udp,libsrt \
    --enable-demuxer=aac,flv,hls,live_flv,mov,mpegts,mpjpeg,rtsp,sdp \
    --enable-parser=aac,aac_latm,ac3,h264,hevc,mpegaudio,opus \
    --enable-decoder=h264,hevc \
    --enable-decoder=aac,aac_latm,ac3,eac3,adpcm_g722,adpcm_g726,adpcm_g726le,g723_1,g729,mp2,mp3,nellymoser,opus \
    --enable-decoder=pcm_alaw,pcm_mulaw,pcm_s16be,pcm_s16le,speex \
    --enable-encoder=aac \
    --enable-bsf=aac_adtstoasc,extract_extradata,h264_mp4toannexb,hevc_mp4toannexb > configure.log ||
    { tail -n 20 ffbuild/config.log >&2 && exit 1; }
grep -q '^#define CONFIG_GPL 0' config.h && grep -q '^#define CONFIG_NONFREE 0' config.h
# What waits for the network, decodes sound that cameras seldom have, or has an assembler version for each machine that
# there is, need not be compiled with all of the compiler's care: a third less of its time.
cat >> ffbuild/config.mak << 'RULE'
libavformat/%.o libavutil/%.o: CFLAGS := $(CFLAGS:-O2=-O1)
libavcodec/aacde%.o libavcodec/aacps_%.o libavcodec/aacsb%.o libavcodec/ac3%.o libavcodec/eac3%.o libavcodec/g72%.o \
    libavcodec/mpegaudio%.o libavcodec/opus%.o: CFLAGS := $(CFLAGS:-O2=-O1)
libavcodec/h264dsp.o libavcodec/h264idct.o libavcodec/h264pred.o libavcodec/h264qpel.o libavcodec/hevcdsp.o: \
    CFLAGS := $(CFLAGS:-O2=-O1)
RULE
make -s -j"$(nproc)" install-libs install-headers
install -D -m 644 COPYING.LGPLv2.1 "$prefix/share/doc/ffmpeg-lgpl/copyright"
# What the binary's recipient has a right to: which source, and how it was configured.
{
    head -n 1 debian/changelog
    grep '^#define FFMPEG_CONFIGURATION' config.h
} > "$prefix/share/doc/ffmpeg-lgpl/source"
cd / && rm -rf "$work" /var/lib/apt/lists/*
