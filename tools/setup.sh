#!/bin/sh
# Make a virtual environment and install the project with one extra, once for each state of the
# pinned versions. Usage: sh tools/setup.sh VENV EXTRA
set -eu
venv=$1
extra=$2
python=${PYTHON:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or later is needed; found $("$python" --version). Try: make PYTHON=python3.12" >&2
    exit 1
}

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"

# Libraries of the system that wheels do not bring: open3d loads these when it is imported.
packages="libusb-1.0-0 libgomp1 libgl1 libegl1 libx11-6"
libraries="libusb-1.0.so.0 libgomp.so.1 libGL.so.1 libEGL.so.1 libX11.so.6"
missing=""
if [ "$(uname -s)" = Linux ]; then
    for library in $libraries; do
        "$venv/bin/python" -c "import ctypes; ctypes.CDLL('$library')" 2>/dev/null ||
            missing="$missing $library"
    done
fi
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing system libraries:$missing"
        apt-get -qq update >/dev/null 2>&1 || true
        # shellcheck disable=SC2086 # a list of package names
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages \
            >/dev/null 2>&1 || echo "System libraries missing for the viewer:$missing" >&2
    else
        echo "System libraries missing for the viewer:$missing (sudo apt-get install $packages)" >&2
    fi
fi

state=$(cat pyproject.toml constraints.txt tools/setup.sh | cksum | tr -d ' ')
stamp="$venv/.installed-$extra-$state"
[ -f "$stamp" ] && exit 0

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
echo "Installing pcmamba[$extra] into $venv (minutes the first time)"
# torch first: later packages then keep this build instead of asking for another.
pip install --quiet -c constraints.txt torch
pip install --quiet -c constraints.txt -e ".[$extra]"
touch "$stamp"
