# shellcheck shell=bash
# Annotations of a workflow; sourced by the steps of the action.

# annotate KIND TEXT: one annotation, whatever the text holds.
annotate() {
  local text=$2
  text=${text//%/%25}
  text=${text//$'\r'/%0D}
  text=${text//$'\n'/%0A}
  printf '::%s title=compaudit::%s\n' "$1" "$text"
}

# refuse TEXT: an annotation, and compaudit's exit code of a wrong request.
refuse() {
  annotate error "$1"
  exit 2
}
