#!/usr/bin/env bash
# Audit the pair. Annotations go to stdout, the Markdown to the step's summary, reports to a folder.
# Ends with 0 whatever the verdict is: the outputs say it, and the action's last step exits with it.
# Environment: PYTHON, and the action's inputs, none of which is ever run or expanded.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=annotations.sh
source "${BASH_SOURCE[0]%/*}/annotations.sh"
unset CDPATH

if [[ -n $REPORTS ]]; then
  mkdir -p -- "$REPORTS"
  reports=$(cd -- "$REPORTS" && pwd)
else
  reports=$(mktemp -d "$RUNNER_TEMP/compaudit.XXXXXX")
fi
# A report that an earlier run left there is no report of this one.
rm -f -- "$reports"/report.{json,md,xml,html}

arguments=("--inconclusive=$INCONCLUSIVE")
if [[ -n $DATA ]]; then
  arguments+=("--data=$DATA")
fi
if [[ -n $POLICY ]]; then
  arguments+=("--policy=$POLICY")
fi
if [[ -n $BASELINE && -e $BASELINE ]]; then
  arguments+=("--baseline=$BASELINE")
elif [[ -n $BASELINE ]]; then
  annotate warning "there is no baseline yet: $BASELINE is not there"
fi
while IFS= read -r line || [[ -n $line ]]; do
  line=${line#"${line%%[![:space:]]*}"}
  line=${line%"${line##*[![:space:]]}"}
  if [[ -n $line && $line != '#'* ]]; then
    arguments+=("--require=$line")
  fi
done <<<"$REQUIRE"

words=$(mktemp "$RUNNER_TEMP/compaudit-args.XXXXXX")
said=$(mktemp "$RUNNER_TEMP/compaudit-stderr.XXXXXX")
trap 'rm -f -- "$words" "$said"' EXIT
split='import shlex, sys; sys.stdout.write("".join(f"{word}\0" for word in shlex.split(sys.argv[1])))'
"$PYTHON" -c "$split" "$ARGS" >"$words" 2>/dev/null \
  || refuse "the input args cannot be read as words: a quote is not closed"
while IFS= read -r -d '' word; do
  arguments+=("$word")
done <"$words"

arguments+=(--no-progress --format=github)
for suffix in json md xml; do
  arguments+=("--output=$reports/report.$suffix")
done
if [[ $HTML == true ]]; then
  arguments+=("--output=$reports/report.html")
fi

# stderr is shown and kept; a pipe, so that it is complete when it is read.
set +e
{
  "$PYTHON" -P -m compaudit compare "${arguments[@]}" -- "$ORIGINAL" "$COMPRESSED" 2>&1 >&3 \
    | tee -- "$said" >&2
  code=${PIPESTATUS[0]}
} 3>&1
set -e
"$PYTHON" "${BASH_SOURCE[0]%/*}/outcome.py" "$reports" "$code" "$said"
