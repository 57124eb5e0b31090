#!/usr/bin/env bash
# Gets an access token for a link, and asks the link's FHIR server how many patients it has.
# Needs bash, sed, and curl 7.84 or newer.
#
#	FHIRLINK_URL           the API; `make run` answers at http://127.0.0.1:7071
#	FHIRLINK_SLUG          the link
#	FHIRLINK_ACCESS_TOKEN  your application's own Entra token for the API; `make run` needs none
#	FHIRLINK_FHIR_URL      the FHIR server; unset: the "resource" that the token is for
#
# Your application gets its own token from Entra, with its own client secret. It needs the role
# Links.Token.All, and AUDIENCE is FHIRLINK_API_AUDIENCE of the API:
#
#	curl -sS "https://login.microsoftonline.com/$TENANT_ID/oauth2/v2.0/token" \
#		-d grant_type=client_credentials -d "client_id=$CLIENT_ID" \
#		--data-urlencode "client_secret=$CLIENT_SECRET" -d "scope=api://$AUDIENCE/.default"
#
# It sends that token with every request to the API:
#
#	curl -sS "$FHIRLINK_URL/api/token" -H "Authorization: Bearer $FHIRLINK_ACCESS_TOKEN" \
#		-d grant_type=client_credentials -d "slug=$FHIRLINK_SLUG"
set -euo pipefail

url=${FHIRLINK_URL:-http://127.0.0.1:7071}
slug=${FHIRLINK_SLUG:-good-health-clinic}

fail() {
	echo "$*" >&2
	exit 1
}

# field prints a field of the token endpoint's answer. No value in it contains a quote or a
# backslash, so sed is enough.
field() { sed -nE 's/.*"'"$1"'":("([^"]*)"|([0-9]+)).*/\2\3/p' <<<"$answer"; }

# problem prints the error in an answer of RFC 6749, section 5.2.
problem() {
	if [ -n "$(field error)" ]; then
		echo "$(field error): $(field error_description)"
	else
		echo "the answer is no OAuth error; does a proxy answer in place of the API?"
	fi
}

# send [curl option...] sets answer to the body, status to the status, and retry to Retry-After.
# Tokens are passed in a file of headers, because the list of processes shows command lines.
send() {
	local reply
	reply=$(curl -sS --max-time 30 -w '\n%{http_code} %header{retry-after}' "$@") || fail "No answer: see curl's message above."
	answer=${reply%$'\n'*}
	read -r status retry <<<"${reply##*$'\n'}"
}
bearer() { printf 'Authorization: Bearer %s\n' "$1"; }

ask=(-d grant_type=client_credentials --data-urlencode "slug=$slug" "${url%/}/api/token")
if [ -n "${FHIRLINK_ACCESS_TOKEN:-}" ]; then
	send -H @<(bearer "$FHIRLINK_ACCESS_TOKEN") "${ask[@]}"
else
	send "${ask[@]}"
fi
if [ "$status" = 503 ]; then
	fail "Try again in ${retry:-a few} seconds: $(problem)"
elif [ "$status" != 200 ]; then
	fail "No token (HTTP $status): $(problem)"
fi
token=$(field access_token)
resource=$(field resource)
echo "Token for $resource, valid for $(field expires_in) seconds."

fhir=${FHIRLINK_FHIR_URL:-$resource}
send -H @<(bearer "$token") -H 'Accept: application/fhir+json' "${fhir%/}/Patient?_summary=count"
[ "$status" = 200 ] || fail "$fhir refuses the token or the request (HTTP $status)."
echo "Patients: $(tr -d ' \n\r\t' <<<"$answer" | sed -nE 's/.*"total":([0-9]+).*/\1/p')"
