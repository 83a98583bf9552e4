#!/usr/bin/env bash
# A home network behind a real router (miniupnpd with nftables: UPnP IGD, NAT-PMP), in network namespaces of their own whose
# names begin with PREFIX. Nothing of it touches the machine's own network. Needs root, iproute2, nftables, miniupnpd.
#
#   c 10.77.0.2, c2 10.77.0.3 -- r: 10.77.0.1 | 100.200.1.1 -- x 100.200.1.9
#
# upnp.sh PREFIX FOLDER up        FOLDER: for miniupnpd's files; FOLDER/leases is its lease file
# upnp.sh PREFIX FOLDER rules     what the router lets in: rules of its redirections
# upnp.sh PREFIX FOLDER restart   the router reboots: its mappings are gone
# upnp.sh PREFIX FOLDER off|on    miniupnpd ends, or starts
# upnp.sh PREFIX FOLDER readdress ADDRESS   the router has another address outside
# upnp.sh PREFIX FOLDER down      always works, also when half of it is up, and ends what runs inside
#
# Environment: IGD=1|2 (default 2), UPNP=yes|no, NATPMP=yes|no, LEAST=SECONDS shortest lease of NAT-PMP (miniupnpd: 120),
# PRIVATE=yes: the router has a carrier's address (100.64.1.1) outside.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
P=$1 D=$2 verb=$3

inside() { ip netns exec "$P$1" "${@:2}"; }

space() {
  ip netns add "$P$1"
  ip -n "$P$1" link set lo up
}

cable() {
  ip link add "$2" netns "$P$1" type veth peer name "$4" netns "$P$3"
  ip -n "$P$1" link set "$2" up
  ip -n "$P$3" link set "$4" up
}

sweep() {
  local pids
  for _ in $(seq 50); do
    pids=$(ip netns pids "$P$1" 2>/dev/null) || return 0
    [[ -z $pids ]] && break
    kill -KILL $pids 2>/dev/null || true
    sleep 0.02
  done
  ip netns del "$P$1" 2>/dev/null || true
}

rules() {
  inside r nft -f - <<'RULES'
table inet filter
delete table inet filter
table inet filter {
  chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname "lan" accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; oifname "wan" masquerade; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
RULES
}

on() {
  cat >"$D/miniupnpd.conf" <<CONF
ext_ifname=wan
listening_ip=lan
enable_natpmp=${NATPMP:-yes}
enable_upnp=${UPNP:-yes}
secure_mode=yes
lease_file=$D/leases
system_uptime=yes
uuid=890f3fb2-d97c-44c6-97fe-0204c6816c20
force_igd_desc_v1=$([[ ${IGD:-2} == 1 ]] && echo yes || echo no)
min_lifetime=${LEAST:-120}
max_lifetime=86400
allow 1024-65535 10.77.0.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
CONF
  : >"$D/leases"
  inside r setsid miniupnpd -d -f "$D/miniupnpd.conf" -P "$D/miniupnpd.pid" </dev/null >>"$D/miniupnpd.log" 2>&1 &
  for _ in $(seq 200); do
    # SSDP (1900) and NAT-PMP (5351).
    local open
    open=$(inside r ss -Huln "sport = 1900 or sport = 5351")
    [[ (${UPNP:-yes} == no || $open == *:1900* ) && (${NATPMP:-yes} == no || $open == *:5351*) ]] && return 0
    sleep 0.05
  done
  echo "miniupnpd does not listen after 10 s; $D/miniupnpd.log says:" >&2
  tail -5 "$D/miniupnpd.log" >&2
  return 1
}

off() {
  local pid
  for pid in $(ip netns pids "${P}r" 2>/dev/null || true); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == miniupnpd ]] || continue
    kill -KILL "$pid" 2>/dev/null || true
    while [[ -d /proc/$pid && $(awk '{ print $3 }' "/proc/$pid/stat" 2>/dev/null) != Z ]]; do sleep 0.02; done
  done
}

down() {
  local name
  for name in c c2 x r; do sweep "$name"; done
}

case $verb in
  up)
    trap 'down' ERR
    mkdir -p "$D"
    for name in c c2 r x; do space "$name"; done
    ip -n "${P}r" link add lan type bridge
    ip -n "${P}r" link set lan up
    ip -n "${P}r" addr add 10.77.0.1/24 dev lan
    for host in c:2 c2:3; do
      cable "${host%:*}" eth0 r "to${host%:*}"
      ip -n "${P}r" link set "to${host%:*}" master lan
      ip -n "$P${host%:*}" addr add "10.77.0.${host#*:}/24" dev eth0
      # Without a default route neither SSDP's multicast nor the gateway is found.
      ip -n "$P${host%:*}" route add default via 10.77.0.1
    done
    outside=100.200.1 && [[ ${PRIVATE:-no} == yes ]] && outside=100.64.1
    cable x eth0 r wan
    ip -n "${P}r" addr add "$outside.1/24" dev wan
    ip -n "${P}x" addr add "$outside.9/24" dev eth0
    inside r sysctl -qw net.ipv4.ip_forward=1
    rules
    on
    ;;
  rules) inside r nft list chain inet filter prerouting_miniupnpd | grep dnat || true ;;
  restart) off && rules && on ;;
  off) off ;;
  on) on ;;
  readdress)
    ip -n "${P}r" addr flush dev wan
    ip -n "${P}r" addr add "$4/24" dev wan
    ;;
  down) down ;;
  *) echo "usage: upnp.sh PREFIX FOLDER up|rules|restart|off|on|readdress|down" >&2; exit 2 ;;
esac
