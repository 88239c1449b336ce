# Defines names, addresses and small functions of the development cluster; up.sh and down.sh source this file.

: "${DEVCLUSTER:=/var/lib/mammogan-devcluster}"   # all files; munge requires a path that only root can change
NODES="node1 node2"
MACHINES="head $NODES"
NAMESPACE=mammogan-                               # prefix of our network namespaces and devices
BRIDGE=${NAMESPACE}br
SUBNET=198.51.100                                 # TEST-NET-2: no real host has such an address
SOCKET=$DEVCLUSTER/munge/munge.sock
CANNOT=3                                          # exit code: this machine cannot have a cluster
PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export SLURM_CONF=$DEVCLUSTER/etc/slurm.conf

address() { # address MACHINE: print its address; "login" is this machine, where users type their commands
  case $1 in head) echo $SUBNET.1 ;; node*) echo "$SUBNET.$((10 + ${1#node}))" ;; login) echo $SUBNET.254 ;; esac
}

say() { echo "devcluster: $*"; }

fail() { # fail LOG MESSAGE...: print the message and the end of a log, then exit
  local log=$1; shift
  echo "devcluster: $*" >&2
  [ ! -e "$log" ] || { echo "the end of $log:"; tail -n 15 "$log"; } >&2
  exit 1
}

cannot() { echo "devcluster: $*" >&2; exit $CANNOT; }

# runs PIDFILE NAME: succeed if the process whose number is in the file is alive and has this name. The name is checked
# because another process may have that number by now. A zombie counts as dead, although kill -0 finds it.
runs() {
  local pid
  pid=$(cat "$DEVCLUSTER/run/$1.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
  awk -v name="$2" '/^Name:/ {n = $2} /^State:/ {s = $2} END {exit !(n == name && s != "Z")}' "/proc/$pid/status" 2>/dev/null
}

within() { # within SECONDS COMMAND...: repeat the command until it succeeds
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt "$end" ] || return 1
    sleep 0.1
  done
}

# Print the daemons as PIDFILE:NAME, in the order in which they must be stopped.
daemons() {
  echo slurmctld:slurmctld
  for node in $NODES; do echo "slurmd-$node:slurmd"; done
  printf '%s\n' slurmdbd:slurmdbd mariadbd:mariadbd munged:munged
}
