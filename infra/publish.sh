#!/usr/bin/env bash
# Builds the program, publishes it to a function app that main.bicep made, and waits until this
# version answers.
#
#	infra/publish.sh [function-app]
#
# The default is AZURE_FUNCTION_APP_NAME, which azd sets. Needs Go, make, curl,
# Azure Functions Core Tools (func), and the Azure CLI, signed in.
set -euo pipefail

app=${1:-${AZURE_FUNCTION_APP_NAME:-}}
if [ -z "$app" ]; then
	echo "usage: infra/publish.sh function-app" >&2
	exit 2
fi
for tool in az curl func go make; do
	if ! command -v "$tool" >/dev/null; then
		echo "infra/publish.sh: $tool is missing" >&2
		exit 2
	fi
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(git describe --tags --always --dirty)
make --no-print-directory dist VERSION="$version"

# azd may have deployed to another subscription than the one az uses.
in_subscription=(${AZURE_SUBSCRIPTION_ID:+--subscription "$AZURE_SUBSCRIPTION_ID"})
host=$(az functionapp list ${in_subscription[@]+"${in_subscription[@]}"} --query "[?name=='$app'].defaultHostName | [0]" --output tsv)
if [ -z "$host" ]; then
	echo "infra/publish.sh: az sees no function app $app in its subscription: choose it with az account set --subscription" >&2
	exit 1
fi

# Just after a first deployment the app's roles may not be in effect yet, so publishing can fail.
for attempt in $(seq 10); do
	(cd dist && func azure functionapp publish "$app" --custom ${in_subscription[@]+"${in_subscription[@]}"}) && break
	if [ "$attempt" = 10 ]; then
		echo "infra/publish.sh: $app cannot be published to; func says why above. Run this again when that is mended." >&2
		exit 1
	fi
	echo "infra/publish.sh: not published; a new role can take ten minutes to count. Trying again in a minute ($attempt of 10)." >&2
	sleep 60
done

for _ in $(seq 60); do
	if curl --silent --fail --max-time 10 "https://$host/api/health" | grep -qF "\"version\":\"$version\""; then
		echo "https://$host answers as version $version"
		exit 0
	fi
	sleep 5
done
echo "infra/publish.sh: https://$host/api/health does not answer as version $version after 5 minutes." >&2
echo "See what the program wrote: README.md, \"Read the alerts\", server-errors." >&2
exit 1
