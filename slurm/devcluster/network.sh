# Makes one network namespace for each machine of the cluster, on a bridge without a connection to other networks; up.sh
# and down.sh source this file.

make_network() {
  # While there is no bridge, packets to the cluster from a late client are refused here and never leave this machine.
  ip route replace unreachable $SUBNET.0/24 metric 4096
  if ! ip link show $BRIDGE >/dev/null 2>&1; then
    ip link add $BRIDGE type bridge || cannot "the kernel makes no bridges here"
    ip address add "$(address login)/24" dev $BRIDGE
    ip link set $BRIDGE up
  fi
  for machine in $MACHINES; do
    [ -e "/run/netns/$NAMESPACE$machine" ] || make_machine "$machine"
  done
  { echo "127.0.0.1 localhost"
    echo "$(address login) $(uname -n)"
    for machine in $MACHINES; do echo "$(address "$machine") $machine"; done; } >"$DEVCLUSTER/etc/hosts"
}

make_machine() {
  local space=$NAMESPACE$1 cable=${NAMESPACE:0:9}$1
  ip netns add "$space" || cannot "this machine lets root make no named network namespaces"
  ip link delete "$cable" 2>/dev/null || true   # a deleted namespace takes some time to release it
  ip link add "$cable" type veth peer name eth0 netns "$space"
  ip link set "$cable" master $BRIDGE up
  ip -n "$space" address add "$(address "$1")/24" dev eth0
  ip -n "$space" link set lo up
  ip -n "$space" link set eth0 up
}

# on MACHINE COMMAND...: run a command with the network, host name and /etc/hosts of a machine of the cluster. Files and
# processes are shared with this machine.
on() {
  local machine=$1; shift
  nsenter "--net=/run/netns/$NAMESPACE$machine" unshare --uts --mount --propagation slave sh -c \
    'hostname "$0" && mount -t sysfs sysfs /sys && mount --bind "$1" /etc/hosts && shift && exec "$@"' \
    "$machine" "$DEVCLUSTER/etc/hosts" "$@"
}

remove_network() {
  for machine in $MACHINES; do
    ip link delete "${NAMESPACE:0:9}$machine" 2>/dev/null
    [ ! -e "/run/netns/$NAMESPACE$machine" ] || ip netns delete "$NAMESPACE$machine"
  done
  ip link delete $BRIDGE 2>/dev/null
  ip route delete unreachable $SUBNET.0/24 metric 4096 2>/dev/null
  true
}
