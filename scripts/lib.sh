# shellcheck shell=bash
#
# What the scripts share: how they speak, how they become root, how they install a package.
# Sourced, never run.

# Prints the comment at the head of a script: its usage.
usage() { sed -n '2,/^[^#]/{/^#/{s/^#\{1,\} \{0,1\}//;p}}' "$1"; }

say() { printf '%s: %s\n' "${SAYS:-$(basename "$0")}" "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# Prints what makes a command run as root: nothing for root itself, else sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then return; fi
    command -v sudo >/dev/null || fail "this needs root, and there is no sudo"
    echo sudo
}

# Installs Debian packages quietly; the package lists are fetched when apt does not know a package.
apt_install() {
    local root
    command -v apt-get >/dev/null || fail "cannot install $*: this is not Debian or Ubuntu"
    root=$(as_root)
    apt-cache policy "$@" 2>/dev/null | grep -q 'Candidate: [^(]' || $root apt-get update -qq
    # Lists that are too old name packages that are gone: once more with fresh ones.
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 ||
        { $root apt-get update -qq && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; } ||
        fail "apt-get could not install $*"
}
