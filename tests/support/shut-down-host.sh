# Runs where systemd is process 1: starts the daemon by the units of packaging/systemd and two machines, and shuts the host down.
#   sh shut-down-host.sh CHECKOUT SHARED
# SHARED has root.tar, the root of a machine, and gets events: what happened to the machines, to the end.
set -eu
root=$1 shared=$2
units=/run/systemd/system
lighter=$root/dist/lighter

for unit in lighter.service lighter.socket lighter-shutdown.service; do
  sed -e "s|/usr/bin/lighter|$lighter|; s|daemon -H fd://|& --data-root /mnt/data|; s|SocketGroup=.*|SocketGroup=root|" \
    "$root/packaging/systemd/$unit" >"$units/$unit"
done
# The end of the unit that this script runs in is no reason to end the host at once.
mkdir "$units/vmrun.service.d"
printf '[Unit]\nFailureAction=none\nSuccessAction=none\n' >"$units/vmrun.service.d/go-on.conf"
systemctl daemon-reload
systemctl start lighter.socket lighter.service

"$lighter" machine import "$shared/root.tar" init:busybox
format='{{.Actor.Attributes.name}} {{.Action}} {{.Actor.Attributes.exitCode}}'
systemd-run --quiet --property Before=lighter-shutdown.service --property "RequiresMountsFor=$shared" \
  sh -c "exec '$lighter' events --filter type=container --format '$format' >'$shared/events'"
systemctl start lighter-shutdown.service
for order in 1 2; do
  "$lighter" machine create --network none --boot-order $order init:busybox machine$order
  "$lighter" machine start --wait machine$order
done
systemctl poweroff
exec sleep 1000
