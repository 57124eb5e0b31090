#!/usr/bin/env bash
# Registers the API in Entra as api-registration.json describes it: the scope, the roles, and tokens
# of version 2. Entra issues callers' tokens for this registration. A second run restores what the
# file says; the ids never change.
#
#	infra/register-api.sh [unique-name]
#
# Needs the Azure CLI, signed in (az login --allow-no-subscriptions) to the operator's tenant, as a
# person who may register applications there.
set -euo pipefail

if [ $# -gt 1 ]; then
	echo "usage: infra/register-api.sh [unique-name]" >&2
	exit 2
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

# Users and applications of this tenant get their roles on the service principal.
if ! az ad sp show --id "$client_id" --output none 2>/dev/null; then
	az ad sp create --id "$client_id" --output none
fi

cat <<EOF
FHIRLINK_API_AUDIENCE=$client_id

Scope for users' apps:  api://$client_id/Links.Manage
Scope for applications: api://$client_id/.default
EOF
