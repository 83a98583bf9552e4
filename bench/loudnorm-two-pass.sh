#!/usr/bin/env bash
# FFmpeg's own loudness normalisation in two passes, as its manual has it, into the format of the input:
# loudnorm-two-pass.sh INPUT OUTPUT TARGET_LUFS
set -euo pipefail
goal=loudnorm=I=$3:TP=-1:LRA=11
said=$(ffmpeg -nostdin -hide_banner -nostats -i "$1" -af "$goal:print_format=json" -f null - 2>&1)
value() { sed -n "s/.*\"$1\" : \"\(.*\)\".*/\1/p" <<<"$said"; }
measured=measured_I=$(value input_i):measured_TP=$(value input_tp):measured_LRA=$(value input_lra)
measured+=:measured_thresh=$(value input_thresh):offset=$(value target_offset):linear=true
ffmpeg -nostdin -v error -y -i "$1" -af "$goal:$measured" -ar 44100 -sample_fmt s16 -c:a flac "$2"
