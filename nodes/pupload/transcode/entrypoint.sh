#!/bin/sh
#
# Turns a video into one that plays where it is to play.
#
#   INPUT_VIDEO         the video to read
#   OUTPUT_TRANSCODED   the file to write
#   FLAG_FORMAT         mp4 or webm
#   FLAG_CODEC          h264 (mp4), vp9 (webm), av1 (both), or auto
#   FLAG_CRF            quality, 0 (all) to 63 (nothing left); or
#   FLAG_TARGET_MB      how many megabytes the result may have at most
#   FLAG_WIDTH, FLAG_HEIGHT, FLAG_FPS   bounds that it is brought under
#   FLAG_SPEED          fast, balanced, small
#   FLAG_AUDIO          keep or none
#   FLAG_AUDIO_KBITS    of the sound
#   FLAG_FASTSTART      whether an MP4 can be played before all of it has arrived
#
# Exit codes: as /usr/local/lib/pupload/node.sh has them.
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/media.sh
. /usr/local/lib/pupload/media.sh

output=${OUTPUT_TRANSCODED:-} format=${FLAG_FORMAT:-mp4} codec=${FLAG_CODEC:-auto} crf=${FLAG_CRF:-} target=${FLAG_TARGET_MB:-}
width=${FLAG_WIDTH:-} height=${FLAG_HEIGHT:-} fps=${FLAG_FPS:-} speed=${FLAG_SPEED:-balanced}
audio=${FLAG_AUDIO:-keep} audio_kbits=${FLAG_AUDIO_KBITS:-128}
path OUTPUT_TRANSCODED "$output"
choice format "$format" mp4 webm
choice codec "$codec" auto h264 vp9 av1
choice speed "$speed" fast balanced small
choice audio "$audio" keep none
number crf "$crf" 0 63
decimal target_mb "$target" 0.05 100000
number width "$width" 16 8192
number height "$height" 16 8192
decimal fps "$fps" 1 120
number audio_kbits "$audio_kbits" 16 512
[ -z "$crf" ] || [ -z "$target" ] || die 64 "flag crf and flag target_mb exclude each other: the one fixes the quality, the other the size"
faststart=
if boolean faststart "${FLAG_FASTSTART:-true}"; then faststart='-movflags +faststart'; fi
case $format:$codec in
mp4:auto) codec=h264 ;;
webm:auto) codec=vp9 ;;
mp4:vp9) die 64 "flag codec must be h264 or av1 where flag format is mp4, not 'vp9'" ;;
webm:h264) die 64 "flag codec must be vp9 or av1 where flag format is webm, not 'h264'" ;;
esac

media_open INPUT_VIDEO "${INPUT_VIDEO:-}"
media_need picture

filter=$(media_scale "$width" "$height")
# Fewer frames, never more: one shown twice adds bytes and nothing to see.
if [ -n "$fps" ] && awk -v has="$media_fps" -v most="$fps" 'BEGIN { exit !(has == 0 || has > most) }'; then
    filter="$filter,fps=$fps"
fi

case $codec:$speed in
h264:fast) picture='-c:v libx264 -preset veryfast' ;;
h264:balanced) picture='-c:v libx264 -preset medium' ;;
h264:small) picture='-c:v libx264 -preset slower' ;;
vp9:fast) picture='-c:v libvpx-vp9 -row-mt 1 -deadline good -cpu-used 5' ;;
vp9:balanced) picture='-c:v libvpx-vp9 -row-mt 1 -deadline good -cpu-used 3' ;;
vp9:small) picture='-c:v libvpx-vp9 -row-mt 1 -deadline good -cpu-used 1' ;;
av1:fast) picture='-c:v libsvtav1 -preset 11' ;;
av1:balanced) picture='-c:v libsvtav1 -preset 8' ;;
av1:small) picture='-c:v libsvtav1 -preset 5' ;;
esac
picture="$picture -pix_fmt yuv420p -threads $media_processors"
[ "$codec" != av1 ] || picture="$picture -svtav1-params lp=$media_processors"

sound=-an sound_kbits=0
if [ "$audio" = keep ] && [ "$media_sounds" -gt 0 ]; then
    sound_kbits=$audio_kbits
    case $format in
    mp4) sound="-map 0:a:0 -c:a aac -b:a ${audio_kbits}k" ;;
    webm) sound="-map 0:a:0 -c:a libopus -b:a ${audio_kbits}k" ;;
    esac
    [ "$media_channels" -le 2 ] || sound="$sound -ac 2"
fi
muxer="-f webm"
[ "$format" != mp4 ] || muxer="$faststart -f mp4"

# encode FROM TO ARGUMENT...: one pass over all of it.
encode() {
    pass_from=$1 pass_to=$2
    shift 2
    # shellcheck disable=SC2086 # several arguments each, made above of checked parts
    media_run "$media_microseconds" "$pass_from" "$pass_to" -map 0:V:0 -sn -dn -map_metadata -1 -map_chapters -1 \
        -vf "$filter" -fps_mode vfr $picture "$@"
}

# by_size KBITS: a first look and then the real work, which together meet a size much better than one of them.
by_size() {
    rate="-b:v ${1}k -maxrate $(($1 * 2))k -bufsize $(($1 * 4))k"
    case $codec in
    # What x264 would note of every block in its first look fills /tmp in minutes.
    h264) rate="$rate -x264-params mbtree=0 -passlogfile /tmp/pass" ;;
    vp9) rate="$rate -passlogfile /tmp/pass" ;;
    av1) rate="-b:v ${1}k" ;;
    esac
    # shellcheck disable=SC2086 # several arguments each, made above of checked parts
    if [ "$codec" = av1 ]; then
        encode 0 980 $rate $sound $muxer "file:$output"
    else
        encode 0 400 $rate -pass 1 -an -f null -
        encode 400 980 $rate -pass 2 $sound $muxer "file:$output"
    fi
}

say "Transcoding a ${media_width}x$media_height $media_picture video of $((media_microseconds / 1000000)) s to $codec in $format" 0.001
if [ -n "$target" ]; then
    [ "$media_microseconds" -gt 0 ] || die 65 "the input does not say how long it lasts, so no size can be aimed at: use flag crf instead of target_mb"
    most=$(awk -v mb="$target" 'BEGIN { printf "%.0f", mb * 1000000 }')
    kbits=$(awk -v most="$most" -v us="$media_microseconds" -v sound="$sound_kbits" \
        'BEGIN { printf "%.0f", (most * 0.97 - 6000) * 8000 / us - sound }')
    for try in 1 2 3; do
        [ "$kbits" -ge 10 ] || die 65 "flag target_mb is too small for this input of $((media_microseconds / 1000000)) s;" \
            "shorten it, lower audio_kbits, or allow more"
        by_size "$kbits"
        size=$(wc -c <"$output")
        [ "$size" -gt "$most" ] || break
        warn "the result has $size bytes, $((size - most)) too many: again with fewer bits"
        kbits=$(awk -v kbits="$kbits" -v size="$size" -v most="$most" 'BEGIN { printf "%.0f", kbits * most / size * 0.93 }')
        [ "$try" != 3 ] || die 65 "the input cannot be brought down to flag target_mb: allow more, or make it smaller with width and height"
    done
else
    case $codec:$crf in
    h264:) crf=23 ;;
    vp9:) crf=33 ;;
    av1:) crf=35 ;;
    # Its scale ends there.
    h264:5[2-9] | h264:6?) crf=51 ;;
    esac
    [ "$codec" != vp9 ] || crf="$crf -b:v 0"
    # shellcheck disable=SC2086 # several arguments each, made above of checked parts
    encode 0 980 -crf $crf $sound $muxer "file:$output"
fi
media_whole
[ -s "$output" ] || die 65 "the input is damaged: not one picture of it can be decoded"
say "Transcoded to $codec in $format: $((media_reached / 1000000)) s, $(wc -c <"$output") bytes" 1
