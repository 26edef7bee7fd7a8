#!/usr/bin/env bash
# Install compaudit: into an environment of its own, or into the interpreter that PYTHON names.
# Environment: PYTHON, VERSION, EXTRAS, HTML (inputs of the action). Output: python.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=annotations.sh
source "${BASH_SOURCE[0]%/*}/annotations.sh"

selected=${EXTRAS//[[:space:]]/}
[[ $selected =~ ^[a-z]+(,[a-z]+)*$ ]] \
  || refuse "the input extras is a list of words such as cpu,torch, and is: $EXTRAS"
[[ $VERSION =~ ^[A-Za-z0-9.+!]*$ ]] \
  || refuse "the input version is a version such as 0.1.0, and is: $VERSION"
[[ ${RUNNER_OS:-} != Windows ]] || refuse "compaudit runs on Linux and macOS"
if [[ $HTML == true ]]; then
  selected+=,html
fi

python=$(command -v -- "${PYTHON:-python3}") \
  || refuse "there is no ${PYTHON:-python3} on this runner; add a step with actions/setup-python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || refuse "compaudit needs Python 3.11 or newer; add a step with actions/setup-python"

if [[ $python == */* && $python != /* ]]; then
  python=$PWD/$python # the audit may run in another folder
fi

options=(--disable-pip-version-check --no-input --quiet)
if [[ -z $PYTHON ]]; then
  "$python" -m venv "$RUNNER_TEMP/compaudit-venv" \
    || refuse "this Python cannot make an environment; add a step with actions/setup-python"
  python=$RUNNER_TEMP/compaudit-venv/bin/python
fi
if [[ -n $VERSION ]]; then
  what="compaudit[$selected]==$VERSION"
else
  what="${GITHUB_ACTION_PATH}[$selected]"
  # The tested set of versions; what an environment of the user's holds stays as it is.
  if [[ -z $PYTHON ]]; then
    options+=(-c "$GITHUB_ACTION_PATH/constraints.txt")
  fi
fi
"$python" -m pip install "${options[@]}" "$what" \
  || refuse "compaudit could not be installed; what pip says stands in the log"
"$python" -P -m compaudit --version
printf 'python=%s\n' "$python" >>"$GITHUB_OUTPUT"
