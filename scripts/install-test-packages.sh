#!/bin/sh
# Installs the missing packages of tests/debian-packages, as root on Debian; otherwise it does nothing. A failure is only reported:
# the tests that need the missing packages are skipped.
set -eu
[ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null || exit 0

packages=$(sed 's/#.*//' "$(dirname "$0")/../tests/debian-packages")
# Programs that were installed in another way.
! command -v node >/dev/null || packages=$(echo "$packages" | grep -vx nodejs)
! command -v npm >/dev/null || packages=$(echo "$packages" | grep -vx npm)
there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p')
missing=$(echo "$packages" | grep -vxF "$there" | xargs)
[ -n "$missing" ] || exit 0

echo "test: installing what the tests need (./test --no-install does not): $missing"
# Installing a package must not start its service (a dockerd, say): 101 is policy-rc.d's "forbidden".
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >/dev/null </dev/null; }
apt update && apt install -y --no-install-recommends $missing ||
  echo "test: not everything could be installed; what needs the rest is skipped" >&2
