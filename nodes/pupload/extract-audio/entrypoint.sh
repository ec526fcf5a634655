#!/bin/sh
#
# Takes the sound out of a video, or turns a sound into another format.
#
#   INPUT_MEDIA         the file to read
#   OUTPUT_AUDIO        the file to write
#   FLAG_FORMAT         mp3, m4a, opus, flac, wav
#   FLAG_KBITS          for mp3, m4a and opus
#   FLAG_CHANNELS       same, mono, stereo
#   FLAG_SAMPLE_RATE    in Hz
#   FLAG_TRACK          which one, from 1
#
# Exit codes: as /usr/local/lib/pupload/node.sh has them.
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/media.sh
. /usr/local/lib/pupload/media.sh

output=${OUTPUT_AUDIO:-} format=${FLAG_FORMAT:-mp3} kbits=${FLAG_KBITS:-160} channels=${FLAG_CHANNELS:-same}
rate=${FLAG_SAMPLE_RATE:-} track=${FLAG_TRACK:-1}
path OUTPUT_AUDIO "$output"
choice format "$format" mp3 m4a opus flac wav
number kbits "$kbits" 16 320
choice channels "$channels" same mono stereo
[ -z "$rate" ] || choice sample_rate "$rate" 8000 16000 22050 24000 32000 44100 48000
number track "$track" 1 "$MEDIA_MOST_STREAMS"

media_open INPUT_MEDIA "${INPUT_MEDIA:-}"
media_need sound
[ "$track" -le "$media_sounds" ] || die 65 "flag track is $track, but the number of sound tracks in the input is $media_sounds"
# Opus knows these rates only, and its files play at 48 kHz in any case.
case $format:$rate in opus:22050 | opus:32000 | opus:44100) rate=48000 ;; esac
sound=$(media_encoder "$format" "$kbits")
case $channels in
mono) sound="$sound -ac 1" ;;
stereo) sound="$sound -ac 2" ;;
esac

say "Taking the $media_sound sound out of $((media_microseconds / 1000000)) s" 0.001
# shellcheck disable=SC2086 # several arguments each, made above of checked parts
media_run "$media_microseconds" 0 980 -map "0:a:$((track - 1))" -vn -sn -dn -map_metadata -1 -map_chapters -1 \
    ${rate:+-ar $rate} $sound "file:$output"
media_whole
if [ ! -s "$output" ] || [ "$media_reached" = 0 ]; then die 65 "the input is damaged: no sound of it can be decoded"; fi
say "Sound extracted: $format, $((media_reached / 1000000)) s, $(wc -c <"$output") bytes" 1
