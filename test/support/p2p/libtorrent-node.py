"""A node of the DHT by libtorrent, on loopback: lines of JSON on standard input say what to do; what it sees are lines, too."""

import json
import sys
import threading

import libtorrent as lt

session = lt.session(
    {
        "listen_interfaces": "127.0.0.1:0",
        "enable_dht": True,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_lsd": False,
        # Nobody: whoever wants it comes to it.
        "dht_bootstrap_nodes": "",
        # All nodes are at one address here, and that is none of the internet.
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_prefer_verified_node_ids": False,
        "dht_enforce_node_id": False,
        "dht_ignore_dark_internet": False,
        "dht_block_ratelimit": 10000,
        "alert_mask": lt.alert.category_t.all_categories,
    }
)
lock = threading.Lock()


def say(**what):
    with lock:
        print(json.dumps(what), flush=True)


def field(alert, name):
    """Of bytes that are no UTF-8 the bindings cannot make a string; the bytes are in the error."""
    try:
        return getattr(alert, name)
    except UnicodeDecodeError as error:
        return error.object


def hexadecimal(value):
    return (value.encode("latin1") if isinstance(value, str) else bytes(value)).hex()


def value_of(item):
    if isinstance(item, dict):
        item = item.get("value", item.get("v"))
    return hexadecimal(item) if isinstance(item, (bytes, str)) else None


def watch():
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            kind = type(alert).__name__
            if kind == "dht_announce_alert":
                say(event="announce", key=str(alert.info_hash), ip=str(alert.ip), port=alert.port)
            elif kind == "dht_mutable_item_alert":
                # Handed over only if the signature is right.
                say(
                    event="item",
                    key=hexadecimal(field(alert, "key")),
                    salt=hexadecimal(field(alert, "salt")),
                    seq=alert.seq,
                    value=value_of(field(alert, "item")),
                )


threading.Thread(target=watch, daemon=True).start()
while session.listen_port() == 0 or not session.is_dht_running():
    session.wait_for_alert(50)
say(event="listening", port=session.listen_port())
for line in sys.stdin:
    ask = json.loads(line)
    if ask["do"] == "add":
        session.add_dht_node(("127.0.0.1", ask["port"]))
    elif ask["do"] == "get":
        session.dht_get_mutable_item(bytes.fromhex(ask["key"]), bytes.fromhex(ask["salt"]))
