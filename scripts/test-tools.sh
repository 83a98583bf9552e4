#!/usr/bin/env bash
# Installs the programs that the tests work with, where that is possible (root on Debian or Ubuntu). Elsewhere it names
# what is missing; the tests that need it are then skipped, by name.
set -euo pipefail

# program:package
tools=(nginx:nginx-light aria2c:aria2 curl:curl strace:strace openssl:openssl ffmpeg:ffmpeg systemd-analyze:systemd systemd-notify:systemd python3:python3)

missing=()
for tool in "${tools[@]}"; do
  command -v "${tool%%:*}" >/dev/null 2>&1 || missing+=("${tool##*:}")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null 2>&1; then
  echo "installing for the tests: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "NOT HERE, tests that need them will be skipped: ${missing[*]}" >&2
fi
