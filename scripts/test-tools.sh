#!/usr/bin/env bash
# Installs the programs that the tests, the acceptance run and the bench work with, where that is possible (root on Debian
# or Ubuntu). Elsewhere it names what is missing; the tests that need it are then skipped, by name.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

# program:package
tools=(
  nginx:nginx-light aria2c:aria2 curl:curl wget2:wget2 strace:strace openssl:openssl ffmpeg:ffmpeg yt-dlp:yt-dlp git:git
  flac:flac sox:sox
  systemd-analyze:systemd systemd-notify:systemd systemd-sysusers:systemd systemd-tmpfiles:systemd
  python3:python3 time:time loudgain:loudgain espeak-ng:espeak-ng
  turnserver:coturn turnutils_natdiscovery:coturn miniupnpd:miniupnpd-nftables nft:nftables iptables:iptables
  ip:iproute2 tcpdump:tcpdump wormhole:magic-wormhole
)

# type -P finds files only: bash has a keyword called time.
absent() {
  local tool
  for tool in "${tools[@]}"; do
    type -P "${tool%%:*}" >/dev/null || echo "${tool##*:}"
  done | sort -u
  # A module of Debian's own Python, not of another that may come first on the PATH.
  /usr/bin/python3 -c 'import libtorrent' 2>/dev/null || echo python3-libtorrent
}

mapfile -t missing < <(absent)
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  echo "installing for the tests: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # A failure is not the end: what is missing is named below, and the tests that need it are skipped, by name.
  # Servers among them (coturn, miniupnpd, nginx) are for the tests to start: none is to run as a service.
  policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  apt-get update -qq >/dev/null || true
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || true
  mapfile -t missing < <(absent)
fi
if [[ ${#missing[@]} -gt 0 ]]; then
  echo "NOT HERE, tests that need them will be skipped, by name: ${missing[*]}" >&2
fi
