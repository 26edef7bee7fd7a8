#!/usr/bin/env bash
# Put the report on the pull request: one comment, replaced by every run that has the same key.
# Whatever prevents it is a warning: a comment is never why an audit fails.
# Environment: PYTHON, MARKDOWN (the report), COMMENT_KEY, GH_TOKEN, and what the runner sets.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=annotations.sh
source "${BASH_SOURCE[0]%/*}/annotations.sh"

give_up() {
  annotate warning "no comment on the pull request: $1"
  exit 0
}

[[ $COMMENT_KEY =~ ^[A-Za-z0-9._-]{0,40}$ ]] \
  || give_up "the input comment-key has other characters than letters, digits, dots, hyphens and underscores, or more than 40"
[[ -s $MARKDOWN ]] || give_up "there is no report"

# The number of the pull request and the commit that was pushed to it; nothing elsewhere.
read_event='
import json, os
with open(os.environ["GITHUB_EVENT_PATH"], encoding="utf-8") as stream:
    event = json.load(stream)
request, issue = event.get("pull_request"), event.get("issue") or {}
if request:
    print(int(request["number"]), str(request.get("head", {}).get("sha", ""))[:7])
elif issue.get("pull_request"):
    print(int(issue["number"]), "")
'
event=$("$PYTHON" -c "$read_event" 2>/dev/null) || give_up "the event that started this run cannot be read"
[[ -n $event ]] || give_up "this run belongs to none"
number=${event%% *}
commit=${event#* }
command -v gh >/dev/null || give_up "there is no gh on this runner"

marker="<!-- compaudit${COMMENT_KEY:+ $COMMENT_KEY} -->"
body=$(mktemp "$RUNNER_TEMP/compaudit-comment.XXXXXX")
answer=$(mktemp "$RUNNER_TEMP/compaudit-answer.XXXXXX")
said=$(mktemp "$RUNNER_TEMP/compaudit-gh.XXXXXX")
trap 'rm -f -- "$body" "$answer" "$said"' EXIT
run=$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID
{
  printf '%s\n' "$marker"
  tail -n +2 -- "$MARKDOWN"
  printf '\n\n<sub>%s[log](%s)</sub>\n' "${commit:+$commit, }" "$run"
} >"$body"

# call ARGUMENTS: gh api, its answer in a file; what goes wrong is a warning.
call() {
  local why
  gh api "$@" >"$answer" 2>"$said" && return
  why=$(head -n 3 -- "$said")
  case $why in
    *"Resource not accessible"* | *"HTTP 403"* | *"HTTP 401"*)
      why="the token may not; give the job the permission pull-requests: write, which runs for pull requests from forks never have ($why)"
      ;;
  esac
  give_up "${why:-gh api failed without a word}"
}

# On servers of one's own, gh reads the other name.
export GH_HOST=${GITHUB_SERVER_URL#*://} GH_ENTERPRISE_TOKEN=$GH_TOKEN
# Only a comment of our own: who wrote another one could change the verdict in it afterwards.
# shellcheck disable=SC2016 # the variables are those of the query
find='query($owner: String!, $name: String!, $number: Int!, $endCursor: String) {
  viewer { login }
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      comments(first: 100, after: $endCursor) {
        nodes { id body author { login } }
        pageInfo { hasNextPage endCursor }
      }
    }
  }
}'
ours="(.data.viewer.login | rtrimstr(\"[bot]\")) as \$me
  | .data.repository.pullRequest.comments.nodes[]
  | select(((.author.login // \"\") | rtrimstr(\"[bot]\")) == \$me)
  | select(.body | startswith(\"$marker\"))
  | .id"
call graphql --paginate -f "query=$find" -f "owner=${GITHUB_REPOSITORY%%/*}" \
  -f "name=${GITHUB_REPOSITORY#*/}" -F "number=$number" --jq "$ours"
comment=$(head -n 1 -- "$answer")
if [[ -n $comment ]]; then
  # shellcheck disable=SC2016
  change='mutation($id: ID!, $body: String!) {
    updateIssueComment(input: { id: $id, body: $body }) { issueComment { url } }
  }'
  call graphql -f "query=$change" -f "id=$comment" -F "body=@$body" \
    --jq .data.updateIssueComment.issueComment.url
else
  call "repos/$GITHUB_REPOSITORY/issues/$number/comments" -F "body=@$body" --jq .html_url
fi
printf 'compaudit: %s\n' "$(head -n 1 -- "$answer")"
