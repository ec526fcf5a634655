#!/bin/sh
#
# Tells what is in a video or a sound, without decoding it.
#
#   INPUT_MEDIA    the file to look at
#   OUTPUT_FACTS   the JSON to write
#   FLAG_TAGS      true adds titles, names, times and places that are written in the file
#
# Exit codes: as /usr/local/lib/pupload/node.sh has them.
set -euf
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh
# shellcheck source=nodes/base/media.sh
. /usr/local/lib/pupload/media.sh

output=${OUTPUT_FACTS:-} tags=false
path OUTPUT_FACTS "$output"
if boolean tags "${FLAG_TAGS:-false}"; then tags=true; fi

media_open INPUT_MEDIA "${INPUT_MEDIA:-}"

# Numbers become numbers, what nobody knows is left out, and ffprobe's names become those that people use.
jq --argjson tags "$tags" --arg kind "$media_kind" --argjson size "$(wc -c <"$media_path")" '
    def number: tonumber? // null;
    def ratio: (. // "0/0") | gsub(":"; "/") | split("/") | map(number // 0) | if .[1] > 0 then .[0] / .[1] * 1000 | round / 1000 else null end;
    def known: with_entries(select(.value != null and .value != "" and .value != "unknown"));
    def words: if . == null then null else with_entries(.value |= tostring[:1000]) | to_entries[:100] | from_entries end;
    def turned: ([.side_data_list[]?.rotation // empty][0]) as $by | if $by == null then null else ((-$by % 360) + 360) % 360 end;
    def language: .tags.language | if . == "und" then null else . end;
    def common: {index, kind: .codec_type, codec: .codec_name, profile: (.profile | if . == null then null else tostring end),
        duration: (.duration | number), bitrate: (.bit_rate | number), frames: (.nb_frames | number), language: language,
        default: (.disposition.default == 1)};
    def picture: {width, height, rotation: turned, fps: (.avg_frame_rate | ratio), pixel_format: .pix_fmt,
        pixel_shape: (.sample_aspect_ratio | ratio | if . == 1 then null else . end),
        color_transfer: .color_transfer, color_primaries: .color_primaries,
        cover: (if .disposition.attached_pic == 1 then true else null end)};
    def sound: {channels, layout: .channel_layout, sample_rate: (.sample_rate | number),
        bits: (.bits_per_raw_sample // .bits_per_sample | number | if . == 0 then null else . end)};
    {
        format: ({name: ({mov: "mp4", asf: "wmv"}[$kind] // $kind), duration: (.format.duration | number), size: $size,
            bitrate: (.format.bit_rate | number), tags: (if $tags then .format.tags | words else null end)} | known),
        streams: [.streams[]? | (common + if .codec_type == "video" then picture elif .codec_type == "audio" then sound else {} end
            + {tags: (if $tags then .tags | words else null end)}) | known]
    }' /tmp/media.json >"$output" || die 70 "what ffprobe tells of the input cannot be read"
say "Found $(jq -r '[(.streams | length | tostring) + " streams", (.streams[] | .kind + " " + (.codec // "unknown"))] | join(", ")' "$output")" 1
