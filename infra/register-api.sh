#!/usr/bin/env bash
# Registers the API in Entra as api-registration.json describes it: the scope, the roles, and tokens
# of version 2. Entra issues callers' tokens for this registration. A second run restores what the
# file says; the ids never change.
#
#	infra/register-api.sh [--page https://host] [unique-name]
#
# With --page, people can sign in at the pages of the deployment at that origin (FHIRLINK_PUBLIC_URL):
# its redirect URIs are added to the registration, ID tokens are switched on, and they get the claim
# login_hint. Whatever else the registration has stays. Run this once for each origin.
#
# Needs the Azure CLI, signed in (az login --allow-no-subscriptions) to the operator's tenant, as a
# person who may register applications there.
set -euo pipefail

usage() {
	echo "usage: infra/register-api.sh [--page https://host] [unique-name]" >&2
	exit 2
}

page=
if [ "${1-}" = --page ]; then
	[ $# -ge 2 ] || usage
	page=$2
	shift 2
	if ! [[ $page =~ ^https://[a-z0-9.-]+(:[0-9]+)?$|^http://localhost(:[0-9]+)?$ ]]; then
		echo "infra/register-api.sh: --page takes the origin alone, in lower case, without a path and a slash at the end: https://links.contoso.com (http for localhost only)" >&2
		exit 2
	fi
fi
if [ $# -gt 1 ] || [[ ${1-} == -* ]]; then
	usage
fi
if ! command -v az >/dev/null; then
	echo "infra/register-api.sh: az is missing: install the Azure CLI" >&2
	exit 2
fi
unique=${1:-fhirlink-api}
if ! [[ $unique =~ ^[A-Za-z0-9-]+$ ]]; then
	echo "infra/register-api.sh: the unique name may hold letters, digits and hyphens only" >&2
	exit 2
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)
application="${graph%/}/v1.0/applications(uniqueName='$unique')"

# patch creates or changes the registration. Graph's upsert finds it by the unique name.
patch() {
	az rest --method PATCH --url "$application" --body "$1" --output none \
		--headers Content-Type=application/json Prefer=create-if-missing
}

patch "@$here/api-registration.json"

# A new registration may take some seconds to appear.
client_id=
for _ in 1 2 3 4 5 6 7 8 9 10; do
	client_id=$(az rest --method GET --url "$application" --query appId --output tsv) && break
	sleep 3
done
if [ -z "$client_id" ]; then
	echo "infra/register-api.sh: the registration was made but cannot be read yet: run this again in a minute" >&2
	exit 1
fi

patch "{\"identifierUris\": [\"api://$client_id\"]}"

# part prints a part of the registration, by a JMESPath query.
part() { az rest --method GET --url "$application" --query "$1" --output "$2" | tr -d '\r'; }

# Graph takes each list as a whole, so what the registration has is sent again.
if [ -n "$page" ]; then
	ours=("$page/api/manage/signed-in" "$page/api/manage/signed-out" "$page/api/manage/consented")
	kept=$(part 'web.redirectUris || `[]`' tsv)
	uris=
	while IFS= read -r uri; do
		case $uri in
		"" | "${ours[0]}" | "${ours[1]}" | "${ours[2]}") ;;
		*[\"\\]*)
			echo "infra/register-api.sh: the registration has the redirect URI $uri, which cannot be kept: correct it in the portal" >&2
			exit 1
			;;
		*) uris+="\"$uri\", " ;;
		esac
	done <<<"$kept"
	uris+="\"${ours[0]}\", \"${ours[1]}\", \"${ours[2]}\""

	access_tokens=$(part 'web.implicitGrantSettings.enableAccessTokenIssuance || `false`' json)
	id_claims=$(part "optionalClaims.idToken[?name != 'login_hint'] || \`[]\`" json)
	access_claims=$(part 'optionalClaims.accessToken || `[]`' json)
	saml_claims=$(part 'optionalClaims.saml2Token || `[]`' json)
	hint='{"name": "login_hint", "source": null, "essential": false, "additionalProperties": []}'
	if [[ $id_claims =~ ^[[:space:]]*\[[[:space:]]*\][[:space:]]*$ ]]; then
		id_claims="[$hint]"
	else
		id_claims="${id_claims%]*}, $hint]"
	fi
	patch "{
		\"web\": {
			\"redirectUris\": [$uris],
			\"implicitGrantSettings\": {\"enableIdTokenIssuance\": true, \"enableAccessTokenIssuance\": $access_tokens}
		},
		\"optionalClaims\": {\"idToken\": $id_claims, \"accessToken\": $access_claims, \"saml2Token\": $saml_claims}
	}"
fi

# Users and applications of this tenant get their roles on the service principal.
if ! az ad sp show --id "$client_id" --output none 2>/dev/null; then
	az ad sp create --id "$client_id" --output none
fi

cat <<EOF
FHIRLINK_API_AUDIENCE=$client_id

Scope for users' apps:  api://$client_id/Links.Manage
Scope for applications: api://$client_id/.default
EOF
if [ -n "$page" ]; then
	echo
	echo "FHIRLINK_PUBLIC_URL=$page"
	echo "Pages: $page/api/manage/"
fi
