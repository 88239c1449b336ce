# Names, addresses and small functions of the development cluster; sourced by up.sh and down.sh.

: "${DEVCLUSTER:=/var/lib/mammogan-devcluster}"   # every file of the cluster; munge wants a path that only root may change
NODES="node1 node2"
MACHINES="head $NODES"
NAMESPACE=mammogan-                               # begins the names of our network namespaces and devices
BRIDGE=${NAMESPACE}br
SUBNET=198.51.100                                 # TEST-NET-2: never a real host's
SOCKET=$DEVCLUSTER/munge/munge.sock
CANNOT=3                                          # exit code: this machine cannot have a cluster
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export SLURM_CONF=$DEVCLUSTER/etc/slurm.conf

address() { # address MACHINE; "login" is this machine, where users type
  case $1 in head) echo $SUBNET.1 ;; node*) echo "$SUBNET.$((10 + ${1#node}))" ;; login) echo $SUBNET.254 ;; esac
}

say() { echo "devcluster: $*"; }

fail() { # fail LOG WHAT...: tell it with the end of a log
  local log=$1; shift
  echo "devcluster: $*" >&2
  [ ! -e "$log" ] || { echo "the end of $log:"; tail -n 15 "$log"; } >&2
  exit 1
}

cannot() { echo "devcluster: $*" >&2; exit $CANNOT; }

# runs PIDFILE NAME: the file names a living process of that name. One that took over the number has another name, and a
# zombie is dead though kill -0 finds it.
runs() {
  local pid
  pid=$(cat "$DEVCLUSTER/run/$1.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
  awk -v name="$2" '/^Name:/ {n = $2} /^State:/ {s = $2} END {exit !(n == name && s != "Z")}' "/proc/$pid/status" 2>/dev/null
}

within() { # within SECONDS COMMAND...: ask again until it succeeds
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt "$end" ] || return 1
    sleep 0.1
  done
}

# Daemons by pid file and process name, in the order in which they stop.
daemons() {
  echo slurmctld:slurmctld
  for node in $NODES; do echo "slurmd-$node:slurmd"; done
  printf '%s\n' slurmdbd:slurmdbd mariadbd:mariadbd munged:munged
}
