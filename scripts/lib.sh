# Shared by the scripts here; sourced, not run. Defines `root`, `venv`, and functions that prepare what is missing.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${HATCHLOCK_VENV:-$root/.venv}

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $1"
  [ $# -lt 2 ] || say "" "hint: $2"
  exit 1
}

# Print the first Python on PATH that is new enough. Not our own environment's, which is about to be made anew and has no
# pip: whoever follows scripts/quickstart has it on PATH.
find_python() {
  local candidate PATH=:$PATH:
  while [[ $PATH == *":$venv/bin:"* ]]; do PATH=${PATH/":$venv/bin:"/:}; done
  PATH=${PATH#:} PATH=${PATH%:}
  for candidate in python3.11 python3 python3.12 python3.13 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "no Python 3.11 or newer was found" "on Debian: apt-get install python3 python3-pip"
}

# What an up-to-date environment was made from: this tree's place, its requirements, and whether tools are included.
environment_stamp() {
  { echo "$root $1"; cat "$root/pyproject.toml"; } | cksum
}

# Make the environment, with this tree installed in it; with `dev`, also what tests and checks need.
# Without ensurepip, which Debian keeps in a package of its own; uv then installs the rest in a fraction of pip's time.
prepare_environment() {
  local wanted=${1:-run} python stamp
  stamp=$(environment_stamp "$wanted")
  if [ -x "$venv/bin/hatchlock" ] && [ "$(cat "$venv/.hatchlock-stamp" 2>/dev/null)" = "$stamp" ]; then
    return
  fi
  python=$(find_python)
  say "preparing $venv with $("$python" --version)"
  "$python" -m venv --without-pip --clear "$venv"
  install_uv "$python"
  install_tree "$wanted"
  printf '%s\n' "$stamp" > "$venv/.hatchlock-stamp"
}

install_uv() {
  "$1" -m pip --version >/dev/null 2>&1 || die "pip is missing" "on Debian: apt-get install python3-pip"
  "$1" -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check --no-warn-script-location uv
}

install_tree() {
  local group=()
  [ "$1" = dev ] && group=(--group dev)
  # A machine's own certificate authority and package index, where they are set up for pip, hold for uv as well.
  local certificates=${SSL_CERT_FILE:-${PIP_CERT:-${REQUESTS_CA_BUNDLE:-}}} index
  index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$("$(find_python)" -m pip config get global.index-url 2>/dev/null || true)}}
  (
    cd "$root"
    export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 # the same under its new and its old name
    [ -z "$certificates" ] || export SSL_CERT_FILE=$certificates
    [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --editable . ${group[@]+"${group[@]}"}
  )
}

# Install Debian packages, each given as COMMAND:PACKAGE, whose command is missing. Returns 1, having said what is
# missing, where that is not possible.
ensure_commands() {
  local pair missing=()
  for pair in "$@"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "missing: ${missing[*]}; on Debian: sudo apt-get install ${missing[*]}"
    return 1
  fi
  say "installing ${missing[*]}"
  apt_install "${missing[@]}" || { apt_get update && apt_install "${missing[@]}"; }
}

apt_install() { apt_get install -y --no-install-recommends "$@"; }

# Quiet unless it fails: then everything that it said is shown.
apt_get() {
  local log
  log=$(mktemp)
  if DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$log" 2>&1; then
    rm -f "$log"
  else
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
}
