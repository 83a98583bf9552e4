#!/usr/bin/env bash
# Two networks behind a NAT each, an "Internet" between them with STUN, TURN and room for more servers, in network namespaces
# of their own whose names begin with PREFIX. Nothing of it touches the machine's own network. Needs root, iproute2, nftables,
# coturn, openssl.
#
#   A  10.1.0.2, A2 10.1.0.3 -- nA 100.200.0.21 --\
#                                                  inet -- srv 100.200.0.10, .11 (coturn; anything else may run there)
#   B  10.2.0.2, B2 10.2.0.3 -- nB 100.200.0.22 --/
#
# nat.sh PREFIX FOLDER up KIND_A KIND_B   FOLDER: for coturn's files
# nat.sh PREFIX FOLDER flip KIND_A KIND_B other NATs, same hosts (their links go down and come back). Use fresh local ports
# nat.sh PREFIX FOLDER turn-stop | turn-start
# nat.sh PREFIX FOLDER down               always works, also when half of it is up, and ends what runs inside
#
# Kinds (mapping/filtering as in RFC 4787):
#   cone        endpoint-independent / address and port dependent: what most homes have
#   restricted  endpoint-independent / address-dependent
#   full        endpoint-independent / endpoint-independent
#   sym         address and port dependent / address and port dependent
#   udpblock    cone for TCP, no UDP at all
#   cgn         cone behind a carrier's cone: the home's router has 100.64.N.2 outside
#   none        public addresses 100.200.N1.2 and .3, nothing between
#   firewall    the same behind a stateful firewall
# IPv6 is there with IPV6=yes: A 2a00:db8:1::2, A2 ::3, B 2a00:db8:2::2, B2 ::3, no NAT, stateful firewall.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
P=$1 D=$2 verb=$3

inside() { ip netns exec "$P$1" "${@:2}"; }
link() { ip -n "$P$1" link "${@:2}"; }
address() { ip -n "$P$1" addr add "$2" dev "$3" ${4:-}; }

space() {
  ip netns add "$P$1"
  link "$1" set lo up
}

# cable SPACE NAME SPACE NAME: two interfaces that are joined.
cable() {
  ip link add "$2" netns "$P$1" type veth peer name "$4" netns "$P$3"
  link "$1" set "$2" up
  link "$3" set "$4" up
}

# Ends what runs in a namespace, and waits for it, so that the namespace goes away.
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

# The rules of a NAT. Unsolicited packets to the router itself are dropped: else conntrack would remember them, and take the
# port that a punch needs.
rules() {
  local space=$1 kind=$2 extra=${3:-}
  local learn="" arrive="" pass="" masquerade=masquerade
  case $kind in
    cone | udpblock) ;;
    sym) masquerade="masquerade random,fully-random" ;;
    full)
      learn="meta l4proto { tcp, udp } update @owner { th sport : ip saddr }"
      arrive="meta l4proto { tcp, udp } dnat to th dport map @owner"
      pass="ct status dnat accept"
      ;;
    restricted)
      learn="meta l4proto { tcp, udp } update @owner { th sport : ip saddr }; meta l4proto { tcp, udp } update @asked { ip daddr . th sport }"
      arrive="meta l4proto { tcp, udp } ip saddr . th dport @asked dnat to th dport map @owner"
      pass="ct status dnat accept"
      ;;
    none) pass="accept" masquerade="accept" ;;
    firewall) masquerade="accept" ;;
    *) echo "there is no kind of NAT called $kind" >&2; exit 2 ;;
  esac
  [[ $kind == udpblock ]] && extra="meta l4proto udp drop"
  inside "$space" sysctl -qw net.ipv4.ip_forward=1
  inside "$space" nft -f - <<RULES
table ip nat {
  map owner { type inet_service : ipv4_addr; size 65535; flags dynamic, timeout; timeout 10m; }
  set asked { type ipv4_addr . inet_service; size 65535; flags dynamic, timeout; timeout 10m; }
  chain input { type filter hook input priority 0; policy accept; iifname "wan" ct state new drop; }
  chain forward {
    type filter hook forward priority 0; policy drop
    $extra
    iifname "lan" $( [[ -n $learn ]] && echo "jump learn" || echo accept )
    ct state established,related accept
    $pass
  }
  chain learn { $learn
    accept
  }
  chain prerouting { type nat hook prerouting priority -100; iifname "wan" jump arrive; }
  chain arrive { $arrive
  }
  chain postrouting { type nat hook postrouting priority 100; oifname "wan" $masquerade; }
}
RULES
  if [[ ${IPV6:-no} == yes && $space == n? ]]; then
    inside "$space" sysctl -qw net.ipv6.conf.all.forwarding=1
    inside "$space" nft -f - <<RULES
table ip6 firewall {
  chain forward { type filter hook forward priority 0; policy drop; iifname "lan" accept; ct state established,related accept; meta l4proto ipv6-icmp accept; }
}
RULES
  fi
}

# side SPACE NUMBER KIND: the router (routers) of a side, and its hosts' links.
side() {
  local s=$1 i=$2 kind=$3 lan=10.$2.0 host
  [[ $kind == none || $kind == firewall ]] && lan=100.200.${2}1
  for host in "$s" "${s}2"; do link "$host" del eth0 2>/dev/null || true; done
  sweep "n$s"
  sweep "c$s"
  space "n$s"
  link "n$s" add lan type bridge
  link "n$s" set lan up
  address "n$s" "$lan.1/24" lan
  for host in "$s:2" "${s}2:3"; do
    cable "${host%:*}" eth0 "n$s" "to${host%:*}"
    link "n$s" set "to${host%:*}" master lan
    address "${host%:*}" "$lan.${host#*:}/24" eth0
    ip -n "$P${host%:*}" route add default via "$lan.1"
  done
  local edge=n$s
  if [[ $kind == cgn ]]; then
    edge=c$s
    space "c$s"
    cable "n$s" wan "c$s" lan
    address "n$s" "100.64.$i.2/24" wan
    address "c$s" "100.64.$i.1/24" lan
    ip -n "$P"n"$s" route add default via "100.64.$i.1"
    rules "n$s" cone
    kind=cone
  fi
  link inet del "p$s" 2>/dev/null || true
  cable "$edge" wan inet "p$s"
  link inet set "p$s" master br0
  address "$edge" "100.200.0.2$i/24" wan
  ip -n "$P$edge" route add default via 100.200.0.1
  rules "$edge" "$kind"
  ip -n "${P}inet" route replace "100.200.${i}1.0/24" via "100.200.0.2$i"
  [[ ${IPV6:-no} == yes ]] || return 0
  address "n$s" "2a00:db8:$i::1/64" lan nodad
  for host in "$s:2" "${s}2:3"; do
    address "${host%:*}" "2a00:db8:$i::${host#*:}/64" eth0 nodad
    ip -n "$P${host%:*}" -6 route add default via "2a00:db8:$i::1"
  done
  [[ $edge == n$s ]] || return 0
  address "n$s" "2a00:db8:0::2$i/64" wan nodad
  ip -n "${P}n$s" -6 route add default via 2a00:db8:0::1
  ip -n "${P}inet" -6 route replace "2a00:db8:$i::/64" via "2a00:db8:0::2$i"
}

turn_start() {
  inside srv setsid turnserver -n --no-cli --log-file=stdout --lt-cred-mech -u snatch:secret -r test \
    --listening-ip=100.200.0.10 --listening-ip=100.200.0.11 --relay-ip=100.200.0.10 \
    --listening-port=3478 --alt-listening-port=3479 --min-port=50000 --max-port=50200 \
    --cert="$D/turn-cert.pem" --pkey="$D/turn-key.pem" --userdb="$D/turndb" --pidfile="$D/turn.pid" \
    </dev/null >>"$D/turn.log" 2>&1 &
  echo $! >"$D/turn-child"
  for _ in $(seq 200); do
    # Four ports listen in the end: two addresses with two ports each.
    [[ $(inside srv ss -Htln "sport = 3478 or sport = 3479" | awk '{ print $4 }' | sort -u | wc -l) -ge 4 ]] && return 0
    sleep 0.05
  done
  echo "turnserver does not listen after 10 s; $D/turn.log says:" >&2
  tail -5 "$D/turn.log" >&2
  return 1
}

turn_stop() {
  local pid
  for pid in $(ip netns pids "${P}srv" 2>/dev/null || true); do
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == turnserver ]] || continue
    kill -KILL "$pid" 2>/dev/null || true
    while [[ -d /proc/$pid && $(awk '{ print $3 }' "/proc/$pid/stat" 2>/dev/null) != Z ]]; do sleep 0.02; done
  done
}

down() {
  local name
  for name in A A2 B B2 srv nA nB cA cB inet; do sweep "$name"; done
}

case $verb in
  up)
    trap 'down' ERR
    mkdir -p "$D"
    for name in inet srv A A2 B B2; do space "$name"; done
    link inet add br0 type bridge
    link inet set br0 up
    address inet 100.200.0.1/24 br0
    # What leads nowhere is dropped without a word, as on the Internet: coturn ends a relay when it is told so.
    inside inet sysctl -qw net.ipv4.ip_forward=1
    ip -n "${P}inet" route add blackhole default
    if [[ ${IPV6:-no} == yes ]]; then
      inside inet sysctl -qw net.ipv6.conf.all.forwarding=1
      address inet 2a00:db8:0::1/64 br0 nodad
    fi
    cable srv wan inet psrv
    link inet set psrv master br0
    address srv 100.200.0.10/24 wan
    address srv 100.200.0.11/24 wan
    ip -n "${P}srv" route add default via 100.200.0.1
    [[ ${IPV6:-no} == yes ]] && { address srv 2a00:db8:0::10/64 wan nodad; ip -n "${P}srv" -6 route add default via 2a00:db8:0::1; }
    side A 1 "$4"
    side B 2 "$5"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$D/turn-key.pem" \
      -out "$D/turn-cert.pem" -subj /CN=turn -addext subjectAltName=IP:100.200.0.10 -days 30 2>/dev/null
    turn_start
    ;;
  flip)
    side A 1 "$4"
    side B 2 "$5"
    ;;
  turn-stop) turn_stop ;;
  turn-start) turn_start ;;
  down) down ;;
  *) echo "usage: nat.sh PREFIX FOLDER up|flip|turn-stop|turn-start|down [KIND_A KIND_B]" >&2; exit 2 ;;
esac
