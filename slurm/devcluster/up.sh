#!/usr/bin/env bash
# Starts a real SLURM on one Debian machine: controller, two nodes and accounting, each machine in its own network
# namespace. It needs root and no systemd. You may repeat it: daemons that already run are left alone. down.sh stops it.
#   up.sh            start the cluster; exit code 3 if this machine cannot have one
#   up.sh --running  only check whether it runs: exit code 0 if it does, else 1
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common packages network daemons; do . "$HERE/$part.sh"; done

if [ "${1:-}" = --running ]; then runs slurmctld slurmctld; exit; fi
check_machine
mkdir -p "$DEVCLUSTER"/{run,log,etc,dev,slurmctld,slurmd/node1,slurmd/node2}
exec 9>"$DEVCLUSTER/lock"
flock -w 300 9 || fail "" "another up.sh or down.sh holds $DEVCLUSTER/lock"

install_packages
jobs_live=$(jobs_may_live && echo yes || true)
make_network
start_munge
write_configuration
start_database
start_accounting
start_controller
start_nodes
[ -n "$jobs_live" ] || cancel_lost_jobs

say "up: $(sinfo -h -o '%P %D nodes' | tr '\n' ' ')"
say "to use it:  export SLURM_CONF=$SLURM_CONF"
