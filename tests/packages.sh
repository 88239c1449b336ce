#!/usr/bin/env bash
# Programs that some tests use: dciodvfy (DICOM) and pngcheck judge our files, chromium and firefox read as a
# radiologist does.
# Installed where this is root on Debian with apt-get; elsewhere it is said which tests will be skipped, and that is no
# failure.
set -euo pipefail

wanted=()
command -v dciodvfy >/dev/null || wanted+=(dicom3tools)
command -v pngcheck >/dev/null || wanted+=(pngcheck)
command -v chromium >/dev/null || wanted+=(chromium)
command -v firefox-esr >/dev/null || command -v firefox >/dev/null || wanted+=(firefox-esr)
[ ${#wanted[@]} -gt 0 ] || exit 0

skipped() { echo "tests/packages.sh: $1; the tests that need ${wanted[*]} will be skipped" >&2; exit 0; }

install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}"; }

[ "$(id -u)" = 0 ] || skipped "only root can install packages"
command -v apt-get >/dev/null || skipped "no apt-get here"
echo "tests/packages.sh: installing ${wanted[*]}"
# A fresh machine has no lists of packages yet.
install >/dev/null 2>&1 || { apt-get update -qq && install >/dev/null; } || skipped "apt-get cannot install them"
