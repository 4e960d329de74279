# shellcheck shell=sh
# What the maintainer scripts of all packages share; build.py puts it into each of them. POSIX sh.
#
# $DPKG_ROOT is empty but where dpkg installs into another root without entering it.
set -e
R=${DPKG_ROOT:-}
STATE=$R/var/lib/gtvision

systemd_runs() { [ -z "$R" ] && [ -d /run/systemd/system ]; }

# The one user of all programs; what each may write its unit says.
make_user() {
    if ! grep -q '^gtvision:' "$R/etc/group"; then
        groupadd --prefix "$R/" --system gtvision
    fi
    if ! grep -q '^gtvision:' "$R/etc/passwd"; then
        useradd --prefix "$R/" --system --gid gtvision --home-dir /var/lib/gtvision --no-create-home --shell /usr/sbin/nologin \
            --comment GT-Vision gtvision
    fi
}

# By number: the name is known in the root that is installed into, which need not be this one.
owner() { awk -F: '$1 == "gtvision" { print $3 ":" $4 }' "$R/etc/passwd"; }

make_folders() {
    for folder in "$@"; do
        if [ ! -d "$STATE/$folder" ]; then
            mkdir -p "$STATE/$folder"
            chmod 0750 "$STATE/$folder"
            chown "$(owner)" "$STATE/$folder"
        fi
    done
}

remove_folders() {
    for folder in "$@"; do rm -rf "${STATE:?}/$folder"; done
    rmdir --ignore-fail-on-non-empty "$STATE" 2> /dev/null || true
}

# A unit that the operator disabled or masked stays so.
units_on() { # start | restart, UNIT...
    verb=$1
    shift
    [ -x /usr/bin/deb-systemd-helper ] || return 0
    deb-systemd-helper unmask "$@" > /dev/null || true
    if [ "$verb" = start ]; then
        deb-systemd-helper enable "$@" > /dev/null || true
    else
        for unit in "$@"; do
            action=update-state
            if deb-systemd-helper --quiet was-enabled "$unit"; then action=enable; fi
            deb-systemd-helper $action "$unit" > /dev/null || true
        done
    fi
    systemd_runs || return 0
    systemctl --system daemon-reload > /dev/null || true
    for unit in "$@"; do
        # A socket that is open stays open: who connects while its service restarts waits in it.
        case $verb:$unit in
            restart:*.service) deb-systemd-invoke restart "$unit" > /dev/null || true ;;
            *) deb-systemd-invoke start "$unit" > /dev/null || true ;;
        esac
    done
}

units_stop() {
    systemd_runs || return 0
    for unit in "$@"; do deb-systemd-invoke stop "$unit" > /dev/null || true; done
}

units_gone() { # remove | purge, UNIT...
    action=$1
    shift
    if [ -x /usr/bin/deb-systemd-helper ]; then
        if [ "$action" = purge ]; then
            deb-systemd-helper purge "$@" > /dev/null || true
            deb-systemd-helper unmask "$@" > /dev/null || true
        else
            deb-systemd-helper mask "$@" > /dev/null || true
        fi
    fi
    if systemd_runs; then systemctl --system daemon-reload > /dev/null || true; fi
}
