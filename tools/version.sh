#!/bin/sh
# Prints the version of this source: VERSION+gCOMMIT[-dirty], or VERSION alone where nothing knows the commit.
# usage: tools/version.sh VERSION
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
version=$1
commit=${GTV_COMMIT:-}
dirty=
if [ -z "$commit" ] && [ -e "$root/.git" ] && commit=$(git -C "$root" rev-parse --short=12 HEAD 2> /dev/null); then
    # Files that git does not know are no part of what is built.
    [ -z "$(git -C "$root" status --porcelain --untracked-files=no 2> /dev/null)" ] || dirty=-dirty
fi
if [ -z "$commit" ] && [ -r "$root/.version" ]; then
    commit=$(cat "$root/.version")
fi
# A tarball has the commit there, a checkout the words that git archive would replace.
case $commit in
    '' | *[!0-9a-f]*) printf '%s\n' "$version" ;;
    *) printf '%s+g%s%s\n' "$version" "$(printf %.12s "$commit")" "$dirty" ;;
esac
