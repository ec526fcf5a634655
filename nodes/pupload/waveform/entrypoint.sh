#!/bin/sh
#
# Draws the waveform of a sound.
#
#   INPUT_MEDIA        the file to read
#   OUTPUT_WAVEFORM    the PNG to write
#   FLAG_WIDTH, FLAG_HEIGHT   in pixels
#   FLAG_COLOR         of the wave, six hexadecimal digits
#   FLAG_BACKGROUND    the same, or transparent
#   FLAG_SPLIT         whether each channel gets its own row
#
# Exit codes: as /usr/local/lib/pupload/node.sh has them.
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/media.sh
. /usr/local/lib/pupload/media.sh

output=${OUTPUT_WAVEFORM:-} width=${FLAG_WIDTH:-1800} height=${FLAG_HEIGHT:-280} color=${FLAG_COLOR:-2f6fed} background=${FLAG_BACKGROUND:-transparent}
path OUTPUT_WAVEFORM "$output"
number width "$width" 16 8192
number height "$height" 16 4096

# hex NAME VALUE: six hexadecimal digits, which may have a # in front.
hex() {
    case ${2#\#} in
    [0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]) echo "0x${2#\#}" ;;
    *) die 64 "flag $1 must be six hexadecimal digits such as 2f6fed, not '$2'" ;;
    esac
}
color=$(hex color "$color")
[ "$background" = transparent ] || background=$(hex background "$background")
split=0 layout=mono
if boolean split "${FLAG_SPLIT:-false}"; then split=1 layout=stereo; fi

media_open INPUT_MEDIA "${INPUT_MEDIA:-}"
media_need sound
[ "$split:$media_channels" != 1:1 ] || split=0 layout=mono

# All samples wait in memory until the last has come: of what is long few of them, in large pieces. At 8 kHz an hour takes 58 MB.
rate=8000
if [ "$media_microseconds" -gt 0 ] && [ "$media_microseconds" -lt 60000000 ]; then rate=48000; fi
# A column without a sample cannot be drawn: of a blink, the rest is silence.
wave="[0:a:0]aresample=$rate,apad=whole_len=$width,aformat=sample_fmts=s16:channel_layouts=$layout,asetnsamples=n=16384:p=0"
wave="$wave,showwavespic=s=${width}x$height:split_channels=$split:colors=$color|$color:filter=peak"
[ "$background" = transparent ] ||
    wave="$wave,format=rgba[wave];color=c=$background:s=${width}x$height,format=rgba[ground];[ground][wave]overlay=format=rgb:shortest=1"

say "Drawing $((media_microseconds / 1000000)) s of $media_sound" 0.001
media_run "$media_microseconds" 0 980 -filter_complex "${wave}[out]" -map '[out]' -map_metadata -1 -frames:v 1 \
    -c:v png -f image2 -update 1 "file:$output"
[ -s "$output" ] || die 65 "the input is damaged: no sound of it can be decoded"
say "Waveform drawn: ${width}x$height, $(wc -c <"$output") bytes" 1
