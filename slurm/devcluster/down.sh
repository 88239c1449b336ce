#!/usr/bin/env bash
# Stops the cluster that up.sh started. It cancels the jobs first, then ends the daemons in the pid files and all
# processes in the nodes' network namespaces.
#   down.sh            keeps the accounting and the logs
#   down.sh --purge    deletes them too; the packages stay installed
set -uo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common network; do . "$HERE/$part.sh"; done
[ "$(id -u)" = 0 ] || { echo "devcluster: only root can stop it" >&2; exit 1; }
[ -d "$DEVCLUSTER" ] || { say "there is none"; exit 0; }
exec 9>"$DEVCLUSTER/lock"
flock -w 300 9 || fail "" "another up.sh or down.sh holds $DEVCLUSTER/lock"

cancel_jobs() {
  local jobs
  jobs=$(timeout 20 squeue -h -o %A 2>/dev/null | sort -u)
  [ -n "$jobs" ] || return 0
  # shellcheck disable=SC2086
  say "cancelling jobs:" $jobs
  # shellcheck disable=SC2086
  timeout 20 scancel --full $jobs
  within 30 no_jobs || say "they do not end; going on"
}

no_jobs() { local jobs; jobs=$(timeout 10 squeue -h -o %A) && [ -z "$jobs" ]; }

stop() { # stop PIDFILE NAME: send SIGTERM, and SIGKILL after 20 s
  runs "$1" "$2" || { rm -f "$DEVCLUSTER/run/$1.pid"; return 0; }
  local pid
  pid=$(cat "$DEVCLUSTER/run/$1.pid")
  kill -TERM "$pid"
  within 20 gone "$1" "$2" || { say "$2 ($pid) does not stop: killed"; kill -KILL "$pid"; }
  rm -f "$DEVCLUSTER/run/$1.pid"
}

gone() { ! runs "$1" "$2"; }

# End leftover processes of jobs: they survive their slurmd.
end_processes_on_nodes() {
  local pids
  for node in $NODES; do
    for signal in TERM KILL; do
      pids=$(ip netns pids "$NAMESPACE$node" 2>/dev/null)
      [ -n "$pids" ] || break
      # shellcheck disable=SC2086
      kill -$signal $pids 2>/dev/null
      sleep 1
    done
  done
}

! runs slurmctld slurmctld || cancel_jobs
for daemon in $(daemons); do
  stop "${daemon%:*}" "${daemon#*:}"
  [ "$daemon" != slurmd-node2:slurmd ] || end_processes_on_nodes
done
rm -f "$DEVCLUSTER"/etc/*.conf   # so a client that still has SLURM_CONF fails at once
remove_network
[ "${1:-}" != --purge ] || rm -rf "$DEVCLUSTER"
say "down"
