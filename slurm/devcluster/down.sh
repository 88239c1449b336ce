#!/usr/bin/env bash
# Stops the cluster that up.sh started, by its pid files and what lives in its namespaces; jobs are cancelled first.
#   down.sh            keeps the accounting and the logs
#   down.sh --purge    deletes them too; the packages stay
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

stop() { # stop PIDFILE NAME: asked, after 20 s killed
  runs "$1" "$2" || { rm -f "$DEVCLUSTER/run/$1.pid"; return 0; }
  local pid
  pid=$(cat "$DEVCLUSTER/run/$1.pid")
  kill -TERM "$pid"
  within 20 gone "$1" "$2" || { say "$2 ($pid) does not stop: killed"; kill -KILL "$pid"; }
  rm -f "$DEVCLUSTER/run/$1.pid"
}

gone() { ! runs "$1" "$2"; }

# What a job has left behind: its processes outlive a slurmd.
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
rm -f "$DEVCLUSTER"/etc/*.conf   # a client that still has SLURM_CONF is told so at once
remove_network
[ "${1:-}" != --purge ] || rm -rf "$DEVCLUSTER"
say "down"
