#!/bin/sh
#
# Runs a line of shell on whatever inputs and outputs the node binds.
#
#   FLAG_LINE   the line; $INPUT_NAME and $OUTPUT_NAME are the paths
#
# Off until the operator says otherwise: only an operator can set the secret ALLOW_RUN, and without it a flow that uses this
# node type is refused, and this program too does nothing.
set -eu
# shellcheck source=nodes/base/node.sh
. /usr/local/lib/pupload/node.sh

[ -s /run/secrets/ALLOW_RUN ] ||
    die 64 "lines of shell are not allowed here; an operator allows them with: pup secret set ALLOW_RUN"
[ "$#" = 0 ] || die 64 "this node takes its line from flag line alone"
line=${FLAG_LINE:-}
[ -n "$line" ] || die 64 "flag line must be a line of shell, such as: sort \$INPUT_TEXT >\$OUTPUT_SORTED"
unset FLAG_LINE
cd /tmp
exec sh -euc "$line"
