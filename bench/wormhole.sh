#!/usr/bin/env bash
# Moves a file or folder by magic-wormhole between two processes of this machine, by a mailbox of ours and without a relay:
# wormhole.sh MAILBOX_PORT WHAT INTO
set -euo pipefail
port=$1 what=$2 into=$3
code=7-bench-$RANDOM
# Nothing listens at port 9: transfers go from process to process.
common=(--relay-url "ws://127.0.0.1:$port/v1" --transit-helper tcp:127.0.0.1:9)
wormhole "${common[@]}" send --hide-progress --code "$code" "$what" >/dev/null 2>&1 &
sender=$!
(cd "$into" && wormhole "${common[@]}" receive --hide-progress --accept-file "$code" >/dev/null 2>&1)
wait "$sender"
