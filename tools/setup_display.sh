#!/bin/sh
# Programs that the tests of pictures use on a machine without a display: a display in memory, its
# keyboard, a driver in software, a browser. Usage: sh tools/setup_display.sh
set -eu
[ "$(uname -s)" = Linux ] || exit 0
packages=""
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
need Xvfb xvfb
need xdotool xdotool
command -v google-chrome >/dev/null 2>&1 || need chromium chromium
ls /usr/share/vulkan/icd.d/*.json >/dev/null 2>&1 || packages="$packages mesa-vulkan-drivers libvulkan1"
[ -n "$packages" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing for the tests of pictures:$packages"
    apt-get -qq update >/dev/null 2>&1 || true
    # shellcheck disable=SC2086 # a list of package names
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages \
        >/dev/null 2>&1 || echo "Could not install:$packages" >&2
else
    echo "Some tests of pictures are skipped without:$packages (sudo apt-get install$packages)" >&2
fi
