# Starts each daemon of the cluster that is not running; up.sh sources this file.
# 9>&- closes up.sh's lock in the daemons; otherwise they would hold it as long as they run.

start_munge() {
  if ! runs munged munged; then
    install -d -o munge -g munge -m 755 "$DEVCLUSTER/munge"
    [ -s "$DEVCLUSTER/munge/key" ] || runuser -u munge -- mungekey -c -k "$DEVCLUSTER/munge/key"
    rm -f "$SOCKET" "$SOCKET.lock"
    runuser -u munge -- munged --key-file="$DEVCLUSTER/munge/key" --socket="$SOCKET" \
      --pid-file="$DEVCLUSTER/munge/pid" --log-file="$DEVCLUSTER/munge/log" --seed-file="$DEVCLUSTER/munge/seed" 9>&-
    ln -sf ../munge/pid "$DEVCLUSTER/run/munged.pid"
  fi
  within 20 munge --socket="$SOCKET" --no-input || fail "$DEVCLUSTER/munge/log" "munged does not answer"
}

write_configuration() {
  local file text
  for number in 0 1 2 3; do ln -sfn /dev/null "$DEVCLUSTER/dev/gpu$number"; done
  for file in "$HERE"/conf/*.conf; do
    text=$(sed -e "s|@STATE@|$DEVCLUSTER|g" -e "s|@HEAD@|$(address head)|g" -e "s|@SEND_USER_SIGNAL@|$(send_user_signal)|" \
      -e "s|@NODE1@|$(address node1)|g" -e "s|@NODE2@|$(address node2)|g" "$file")
    file=$DEVCLUSTER/etc/${file##*/}
    [ "$text" != "$(cat "$file" 2>/dev/null)" ] || continue
    ! runs slurmctld slurmctld || say "${file##*/} is another one than before: make cluster-down cluster-up applies it"
    (umask 077 && echo "$text" >"$file")
    case $file in *slurmdbd.conf) ;; *) chmod 644 "$file" ;; esac
  done
}

# Print the setting that sends the user's signal at a pre-emption. From 23.02 on it is another parameter, which 22.05
# refuses.
send_user_signal() {
  local version
  version=$(slurmctld -V | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  if [ "$version" -ge 23 ]; then echo PreemptParameters=send_user_signal
  else echo SlurmctldParameters=preempt_send_user_signal; fi
}

start_database() {
  local data=$DEVCLUSTER/mysql log=$DEVCLUSTER/log/mariadbd.log
  if ! runs mariadbd mariadbd; then
    install -d -o mysql -g mysql -m 755 "$data"
    [ -d "$data/files/mysql" ] || mariadb-install-db --no-defaults --user=mysql --datadir="$data/files" --skip-test-db \
      --auth-root-authentication-method=socket >"$log" 2>&1 || fail "$log" "mariadb-install-db failed"
    rm -f "$data/socket"
    setsid mariadbd --no-defaults --user=mysql --datadir="$data/files" --socket="$data/socket" --skip-networking \
      --pid-file="$data/pid" --innodb-buffer-pool-size=64M --innodb-log-file-size=32M \
      --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0 </dev/null >>"$log" 2>&1 9>&- &
    echo $! >"$DEVCLUSTER/run/mariadbd.pid"
  fi
  within 60 mariadb --no-defaults --socket="$data/socket" --user=root --execute="CREATE DATABASE IF NOT EXISTS slurm_acct" \
    || fail "$log" "MariaDB does not answer"
}

start_accounting() {
  runs slurmdbd slurmdbd || MYSQL_UNIX_PORT=$DEVCLUSTER/mysql/socket on head slurmdbd 9>&-
  within 60 timeout 5 sacctmgr -n list cluster || fail "$DEVCLUSTER/log/slurmdbd.log" "slurmdbd does not answer"
  sacctmgr -n -P list cluster format=cluster | grep -qx devcluster || sacctmgr -Qi add cluster devcluster >/dev/null
  [ -n "$(sacctmgr -n list assoc user=root account=study)" ] || make_accounts
}

# Create two accounts. Jobs without --account use "everyday", which the partition "paid" does not accept.
make_accounts() {
  for account in everyday study; do sacctmgr -Qi add account "$account"; done
  for user in root ${SUDO_USER:-}; do sacctmgr -Qi add user "$user" account=everyday,study defaultaccount=everyday; done
} >/dev/null

start_controller() {
  runs slurmctld slurmctld || on head slurmctld 9>&-
  within 30 timeout 5 scontrol ping || fail "$DEVCLUSTER/log/slurmctld.log" "slurmctld does not answer"
}

start_nodes() {
  for node in $NODES; do
    runs "slurmd-$node" slurmd || on "$node" slurmd -N "$node" 9>&- \
      || fail "$DEVCLUSTER/log/slurmd-$node.log" "slurmd of $node does not start"
  done
  within 60 all_usable || { sinfo --Node --long >&2; fail "$DEVCLUSTER/log/slurmctld.log" "not all nodes came up"; }
}

all_usable() { [ "$(sinfo -h -N -p main -t idle,mixed,allocated,completing -o %n | sort -u | wc -l)" = "$(wc -w <<<"$NODES")" ]; }

# Succeed if jobs may still be alive: they survive their slurmd, and a running controller knows which of them are lost.
jobs_may_live() {
  runs slurmctld slurmctld && return 0
  for node in $NODES; do [ -z "$(ip netns pids "$NAMESPACE$node" 2>/dev/null)" ] || return 0; done
  return 1
}

# Cancel the jobs that the controller still lists after an unclean end; they have no processes any more. (slurmctld -c
# would also forget them, but it would restart the job numbers while sacct still has the old jobs.)
cancel_lost_jobs() {
  local lost
  lost=$(squeue -h -o %A | sort -u)
  # shellcheck disable=SC2086
  [ -z "$lost" ] || { say "cancelling jobs of a former run:" $lost; scancel $lost; }
}
