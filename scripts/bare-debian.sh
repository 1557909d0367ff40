#!/bin/bash
# Tries README's two commands on a bare Debian: in a root made by debootstrap, with only the packages that README names, a clone of
# this checkout runs `./lighter run hello`, then `./test ARG...`. Needs root and debootstrap. The exit code is ./test's.
#
#   scripts/bare-debian.sh [--root DIR] [ARG...]
#
#   --root DIR    makes the root in DIR and keeps it; an existing root is used unchanged, with a new clone
#
# Mounts and processes (the first is a shell, which reaps) are in new namespaces. Packages come from this machine's own sources, by its
# network; hello runs in a new network namespace.
set -euo pipefail
checkout=$(realpath "$(dirname "$0")/..")
suite=trixie
packages="nodejs npm gcc libc6-dev libquickjs git ca-certificates"

root=
if [ "${1-}" = --root ]; then
  root=$(realpath -m "$2")
  shift 2
fi
if [ -z "$root" ]; then
  root=$(mktemp -d "${TMPDIR:-/tmp}/lighter-bare-debian-XXXXXX")
  trap 'rm -rf --one-file-system "$root"' EXIT
fi

# inside NAMESPACE... -- COMMAND...: runs a command there. Processes and mounts that it leaves end with it.
inside() {
  local namespaces=()
  while [ "$1" != -- ]; do
    namespaces+=("$1")
    shift
  done
  shift
  unshare --mount --pid --fork --kill-child "${namespaces[@]}" sh -euc '
    root=$1; shift
    mount --bind "$root" "$root" # "/" has to be a mount point
    cd "$root"
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount --rbind /sys/fs/cgroup sys/fs/cgroup
    mount --rbind /dev dev
    mount -t tmpfs -o mode=755 run run
    pivot_root . mnt
    exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      sh -uc "umount -l /mnt; \"\$@\"; exit \$?" sh "$@"' sh "$root" "$@"
}

if [ ! -e "$root/etc/debian_version" ]; then
  debootstrap --variant=minbase "$suite" "$root"
  # How this machine reaches Debian's and npm's packages.
  rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d"
  for path in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/keyrings /usr/share/keyrings \
    /etc/resolv.conf /etc/npmrc /usr/etc/npmrc /root/.npmrc /usr/local/share/ca-certificates; do
    [ ! -e "$path" ] || cp -aL --parents "$path" "$root"
  done
  { grep -rlE '\bfile:' "$root/etc/apt/"sources.list* || true; } | xargs -r rm # folders of this machine
  inside -- sh -euc "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update; apt-get -qq install -y --no-install-recommends $packages >/dev/null"
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
fi

rm -rf "$root/root/lighter" "$root/root/shared"
git clone -q "$checkout" "$root/root/lighter"
[ ! -d "$checkout/../shared" ] || cp -a "$(realpath "$checkout/../shared")" "$root/root/shared"
echo "bare-debian: ./lighter run hello"
inside -- /root/lighter/lighter --version # sets up, for which it needs the registry
inside --net -- /root/lighter/lighter run hello
echo "bare-debian: ./test $*"
inside -- /root/lighter/test "$@"
