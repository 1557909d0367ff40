# Builds dist/ if necessary, for ./lighter and ./test, which source this file with $root set. All output goes to standard error.

# True if something that dist/ is made from is newer than its last build, or it was never built. A dist/lighter that is a link was
# built without libquickjs, which may have been installed since.
# -quit at the first such file: a few milliseconds when there is none.
stale() {
  [ -e "$root/dist/.stamp" ] || return 0
  if [ -L "$root/dist/lighter" ] && [ -e /usr/include/quickjs/quickjs.h ]; then return 0; fi
  [ -n "$(find "$root/src" "$root/launcher" "$root/host" "$root/hello" "$root/init" "$root/scripts" \
    "$root/package.json" "$root/package-lock.json" -newer "$root/dist/.stamp" ! -name '*.test.ts' -print -quit)" ]
}

# need PROGRAM PACKAGE
need() {
  command -v "$1" >/dev/null && return
  echo "lighter: cannot set up: there is no \"$1\" here; on Debian: apt-get install $2" >&2
  exit 1
}

# The build runs in a subshell: one at a time, in the checkout, so that its settings end with it.
setup() (
  cd "$root"
  mkdir -p dist
  if command -v flock >/dev/null; then
    exec 9>dist/.lock
    flock 9
  fi
  exec >&2
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    need node nodejs
    need npm npm
    echo "lighter: installing what package-lock.json lists (Bun, TypeScript, Biome, what the dashboard is made of) into node_modules/"
    npm ci --include=dev --no-audit --no-fund --loglevel=error 9>&-
    touch node_modules/.package-lock.json
  fi
  echo "lighter: building dist/"
  node_modules/.bin/bun scripts/build.ts 9>&-
)

# Bun, and so dist/lighterd, obeys these variables: they would make it another program.
unset BUN_OPTIONS BUN_BE_BUN
