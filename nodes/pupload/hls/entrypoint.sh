#!/bin/sh
#
# Packs a video for streaming over HTTP (HLS): playlists and segments, in one or several sizes.
#
#   INPUT_VIDEO            the video to read
#   OUTPUT_STREAM          the directory to fill: index.m3u8, vHEIGHTp.m3u8, vHEIGHTp_00001.ts, ...
#   FLAG_HEIGHTS           sizes as the shorter side in pixels, with commas between them
#   FLAG_SEGMENT_SECONDS   how long a segment lasts
#   FLAG_SPEED             fast, balanced, small
#   FLAG_AUDIO_KBITS       of the sound
#
# Exit codes: as /usr/local/lib/pupload/node.sh has them.
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/media.sh
. /usr/local/lib/pupload/media.sh

output=${OUTPUT_STREAM:-} heights=${FLAG_HEIGHTS:-720} segment=${FLAG_SEGMENT_SECONDS:-6} speed=${FLAG_SPEED:-balanced}
audio_kbits=${FLAG_AUDIO_KBITS:-128}
path OUTPUT_STREAM "$output"
number segment_seconds "$segment" 1 30
choice speed "$speed" fast balanced small
number audio_kbits "$audio_kbits" 16 320
case $heights in
*[!0-9,]* | ,* | *, | *,,* | *,*,*,*,*,*) die 64 "flag heights must be one to five whole numbers with commas between them, such as 1080,720,480, not '$heights'" ;;
esac
sizes=$(printf '%s\n' "$heights" | tr , '\n' | sort -rnu)
for size in $sizes; do number heights "$size" 120 4320; done
[ -d "$output" ] || die 64 "OUTPUT_STREAM must be a directory: this image runs as a node of a flow, which makes it"

media_open INPUT_VIDEO "${INPUT_VIDEO:-}"
media_need picture

# Sizes above the video's own would only repeat it; where all are, the smallest is left, at the video's own size.
short=$media_height
[ "$media_width" -ge "$media_height" ] || short=$media_width
kept=
for size in $sizes; do
    if [ "$size" -le "$short" ]; then kept="$kept $size"; fi
done
[ -n "$kept" ] || kept=$(printf '%s\n' "$sizes" | tail -n 1)

case $speed in
fast) preset=veryfast ;;
balanced) preset=medium ;;
small) preset=slower ;;
esac

# kbits SIZE: what is enough for nearly everything at this size.
kbits() { awk -v p="$1" 'BEGIN { printf "%d", 5000 * (p / 1080) ^ 1.6 + 150 }'; }

set --
labels='' scaled='' streams='' number=0
for size in $kept; do
    most=$(kbits "$size")
    labels="${labels}[s$number]"
    # The shorter side is what is named: an upright video has its width there.
    scaled="$scaled;[s$number]scale=w='if(gte(iw,ih),-2,min($size,trunc(iw/2)*2))':h='if(gte(iw,ih),min($size,trunc(ih/2)*2),-2)'[v$number]"
    set -- "$@" -map "[v$number]" "-maxrate:v:$number" "${most}k" "-bufsize:v:$number" "$((most * 2))k"
    if [ "$media_sounds" -gt 0 ]; then
        set -- "$@" -map 0:a:0
        streams="$streams v:$number,a:$number,name:v${size}p"
    else
        streams="$streams v:$number,name:v${size}p"
    fi
    number=$((number + 1))
done
[ "$media_channels" -le 2 ] || set -- "$@" -ac 2

say "Packing a ${media_width}x$media_height $media_picture video of $((media_microseconds / 1000000)) s in $number size(s):$kept" 0.001
media_run "$media_microseconds" 0 980 -filter_complex "[0:V:0]$(media_scale '' ''),format=yuv420p,split=$number$labels$scaled" "$@" \
    -sn -dn -map_metadata -1 -map_chapters -1 -fps_mode vfr \
    -c:v libx264 -preset "$preset" -crf 22 -threads "$media_processors" -sc_threshold 0 -force_key_frames "expr:gte(t,n_forced*$segment)" \
    -c:a aac -b:a "${audio_kbits}k" \
    -f hls -hls_time "$segment" -hls_list_size 0 -hls_playlist_type vod -hls_flags independent_segments -start_number 1 \
    -hls_segment_filename "$output/%v_%05d.ts" -master_pl_name index.m3u8 -var_stream_map "${streams# }" "$output/%v.m3u8"
media_whole
set +f
set -- "$output"/*.ts
if [ ! -s "$1" ] || [ ! -s "$output/index.m3u8" ]; then die 65 "the input is damaged: not one picture of it can be decoded"; fi
say "Packed for streaming: $# segments in $number size(s), $(cat "$output"/* | wc -c) bytes" 1
