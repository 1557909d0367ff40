#!/bin/sh
# Installs the missing packages of tests/debian-packages, and unpacks those of tests/debian-files, as root on Debian; otherwise it
# does nothing. A failure is only reported: the tests that need the missing packages are skipped.
set -eu
[ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null || exit 0

# Absolute: apt takes a relative folder for one of its own.
root=$(cd "$(dirname "$0")/.." && pwd)
listed() { sed 's/#.*//' "$root/tests/$1"; }
packages=$(listed debian-packages)
# Programs that were installed in another way.
! command -v node >/dev/null || packages=$(echo "$packages" | grep -vx nodejs)
! command -v npm >/dev/null || packages=$(echo "$packages" | grep -vx npm)
there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null | sed -n 's/^installed //p')
missing=$(echo "$packages" | grep -vxF "$there" | xargs)
unpacked=$root/dist/debian
files=$(for package in $(listed debian-files); do [ -e "$unpacked/$package" ] || echo "$package"; done)
[ -n "$missing$files" ] || exit 0

export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" >/dev/null </dev/null; }
apt update || true
if [ -n "$missing" ]; then
  echo "test: installing what the tests need (./test --no-install does not): $missing"
  # Installing a package must not start its service (a dockerd, say): 101 is policy-rc.d's "forbidden".
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
  fi
  apt install -y --no-install-recommends $missing ||
    echo "test: not everything could be installed; what needs the rest is skipped" >&2
fi

# What is of systemd must be of the same build as the host's systemd, whose library it uses.
systemd=$(dpkg-query -W -f '${Version}' systemd 2>/dev/null || true)
mkdir -p "$unpacked"
for package in $files; do
  new=$(mktemp -d "$unpacked/.new.XXXXXX")
  archive=$package
  set -- -o APT::Sandbox::User=root
  case $package in
    *systemd-*) archive=$package=$systemd ;;
    *:*) # its list is read into a folder of its own: this host stays of one architecture
      archive=${package%:*}
      mkdir "$new/lists"
      set -- "$@" -o APT::Architecture="${package#*:}" -o Dir::State::lists="$new/lists" -o Acquire::Languages=none \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
      apt "$@" update || true
      ;;
  esac
  if (cd "$new" && apt "$@" download "$archive" && dpkg -x ./*.deb files && chmod 755 files); then
    mv "$new/files" "$unpacked/$package"
  else
    echo "test: $archive could not be unpacked; what needs it is skipped" >&2
  fi
  rm -r "$new"
done
