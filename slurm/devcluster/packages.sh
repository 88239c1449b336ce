# Checks whether this machine can have a cluster, and installs the packages for it; up.sh sources this file.

PACKAGES="slurmctld slurmd slurmdbd slurm-client munge mariadb-server iproute2"

check_machine() {
  [ "$(id -u)" = 0 ] || cannot "network namespaces and daemons need root"
  unshare --net --uts --mount true 2>/dev/null || cannot "this machine lets root make no namespaces"
  [ -z "$(missing_packages)" ] || command -v apt-get >/dev/null || cannot "no apt-get to install$(missing_packages)"
}

missing_packages() {
  for package in $PACKAGES; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf ' %s' "$package"
  done
}

install_packages() {
  local missing log=$DEVCLUSTER/log/apt.log
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  say "installing$missing"
  keep_services_off
  # shellcheck disable=SC2086
  apt_install $missing >"$log" 2>&1 || { apt-get update -qq && apt_install $missing; } >>"$log" 2>&1 \
    || { tail -n 5 "$log" >&2; cannot "apt-get cannot install$missing; its log: $log"; }
}

apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; }

# Prevent the packages from starting their own services on this machine's addresses.
keep_services_off() {
  [ ! -e /usr/sbin/policy-rc.d ] || return 0
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}
