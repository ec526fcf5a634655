#!/bin/sh
#
# Takes one picture out of a video.
#
#   INPUT_VIDEO        the video to read
#   OUTPUT_THUMBNAIL   the picture to write
#   FLAG_AT            the second to take it from; without, one that shows more than most
#   FLAG_WIDTH, FLAG_HEIGHT   the box to fit into
#   FLAG_FORMAT        jpeg, png, webp
#   FLAG_QUALITY       1 to 100, for jpeg and webp
#
# Exit codes: as /usr/local/lib/pupload/node.sh has them.
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/media.sh
. /usr/local/lib/pupload/media.sh

output=${OUTPUT_THUMBNAIL:-} at=${FLAG_AT:-} width=${FLAG_WIDTH:-} height=${FLAG_HEIGHT:-}
format=${FLAG_FORMAT:-jpeg} quality=${FLAG_QUALITY:-85}
path OUTPUT_THUMBNAIL "$output"
decimal at "$at" 0 "$MEDIA_MOST_SECONDS"
number width "$width" 16 8192
number height "$height" 16 8192
choice format "$format" jpeg png webp
number quality "$quality" 1 100

media_open INPUT_VIDEO "${INPUT_VIDEO:-}"
media_need picture

filter=$(media_scale "$width" "$height")
if [ -n "$at" ] && [ "$media_microseconds" -gt 0 ] && awk -v at="$at" -v end="$media_microseconds" 'BEGIN { exit !(at * 1e6 >= end) }'; then
    warn "flag at is $at, but the video lasts only $((media_microseconds / 1000)) ms: taking a good picture instead"
    at=
fi
if [ -n "$at" ]; then
    media_before="-ss $at"
else
    # Beginnings are often black, so not these. Of the frames that follow, the one most like all of them; each waits in memory.
    media_before="-ss $((media_microseconds / 10000000)).$(printf %06d $((media_microseconds / 10 % 1000000)))"
    frames=$((media_alloc / (media_width * media_height * 3 + 1)))
    [ "$frames" -le 60 ] || frames=60
    [ "$frames" -ge 1 ] || frames=1
    filter="$filter,thumbnail=n=$frames"
fi

# How much JPEG drops in ffmpeg's own measure, from 2 to 31, much as the usual scale has it.
step=$(awk -v q="$quality" 'BEGIN { s = 8 * (q < 50 ? 50 / q : 2 - q / 50); printf "%d", (s < 2 ? 2 : (s > 31 ? 31 : s + 0.5)) }')
case $format in
jpeg) picture="-pix_fmt yuvj420p -c:v mjpeg -q:v $step -f image2 -update 1" ;;
png) picture="-pix_fmt rgb24 -c:v png -f image2 -update 1" ;;
webp) picture="-pix_fmt yuv420p -c:v libwebp -quality $quality -f webp" ;;
esac

# take: the first picture that comes.
take() {
    # shellcheck disable=SC2086 # several arguments each, made above of checked parts
    media_run 0 0 0 -map 0:V:0 -an -sn -dn -map_metadata -1 -vf "$filter" -frames:v 1 $picture "file:$output"
}

say "Taking a picture of a ${media_width}x$media_height $media_picture video" 0.1
take
if [ ! -s "$output" ]; then
    # What a file says of its length need not be so, and the last frame may begin long before the end.
    media_before='-ss 0'
    take
fi
[ -s "$output" ] || die 65 "the input is damaged: not one picture of it can be decoded"
say "Thumbnail taken: $format, $(wc -c <"$output") bytes" 1
